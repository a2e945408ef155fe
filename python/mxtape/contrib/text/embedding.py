"""Vectors for tokens, read from text files: one token a line, with its numbers."""

import os
import warnings
from typing import Any

from ... import ndarray as nd
from ...base import data_dir
from ...registry import get_create_func, get_register_func, get_registry
from . import vocab

__all__ = [
    "CompositeEmbedding",
    "CustomEmbedding",
    "FastText",
    "GloVe",
    "create",
    "get_pretrained_file_names",
    "register",
]


class _TokenEmbedding(vocab.Vocabulary):
    """A vocabulary whose tokens have vectors. Classes of one's own derive from it."""

    # Names of the files that there are vectors in, of a class that has some.
    pretrained_file_names: tuple = ()

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._vec_len = 0
        self._idx_to_vec: Any = None

    @property
    def vec_len(self):
        """The length of a vector."""
        return self._vec_len

    @property
    def idx_to_vec(self):
        """The vectors by number: an NDArray of shape (number of tokens, length of a vector)."""
        return self._idx_to_vec

    def _load_embedding(self, path, elem_delim, init_unknown_vec, encoding="utf8"):
        """Reads the vectors of a file, and adds its tokens."""
        rows, unknown, seen = [], None, set()
        with open(path, encoding=encoding) as file:
            for number, line in enumerate(file, 1):
                token, *texts = line.rstrip().split(elem_delim)
                where = f"{path}, line {number}"
                if not texts:
                    raise AssertionError(f"{where}: expected a token and numbers, got {line!r}")
                vector = [float(text) for text in texts]
                if token == self.unknown_token and unknown is None:
                    unknown = vector
                elif token in seen or token == self.unknown_token:
                    warnings.warn(
                        f"{where}: a second vector for {token!r} is left out", stacklevel=4
                    )
                    continue
                elif len(vector) == 1:
                    warnings.warn(
                        f"{where}: {token} {texts[0]} is taken for a header", stacklevel=4
                    )
                    continue
                else:
                    seen.add(token)
                    rows.append((token, vector))
                self._vec_len = self._vec_len or len(vector)
                if len(vector) != self._vec_len:
                    raise AssertionError(
                        f"{where}: the vector of {token!r} has {len(vector)} numbers, those before "
                        f"it have {self._vec_len}"
                    )
        if not self._vec_len:
            raise ValueError(f"{path}: it holds no vectors")
        first = init_unknown_vec(self._vec_len) if unknown is None else nd.array(unknown)
        for token, _ in rows:
            if token not in self._token_to_idx:
                self._add(token)
        self._idx_to_vec = nd.zeros((len(self), self._vec_len))
        self._idx_to_vec[:] = first.reshape((1, -1))
        if rows:
            at = self.to_indices([token for token, _ in rows])
            self._idx_to_vec[at] = nd.array([vector for _, vector in rows])

    def _restrict(self, vocabulary):
        """Takes over a vocabulary's tokens, with their vectors where there are some."""
        vectors = self.get_vecs_by_tokens(vocabulary.idx_to_token)
        self._take_over(vocabulary)
        self._idx_to_vec = vectors

    def _take_over(self, vocabulary):
        self._token_to_idx = dict(vocabulary.token_to_idx)
        self._idx_to_token = list(vocabulary.idx_to_token)
        self._unknown_token = vocabulary.unknown_token
        self._reserved_tokens = vocabulary.reserved_tokens

    def get_vecs_by_tokens(self, tokens, lower_case_backup=False):
        """The vector of a token, or those of a list of tokens as rows.

        Parameters
        ----------
        tokens : str or list of str
        lower_case_backup : bool, default False
            Whether a token that is not found is looked for in lower case.

        Returns
        -------
        NDArray
            Unknown tokens have the unknown token's vector.
        """
        single = not isinstance(tokens, list)
        names = [tokens] if single else tokens
        if lower_case_backup:
            names = [name if name in self._token_to_idx else name.lower() for name in names]
        rows = nd.take(self._idx_to_vec, nd.array(self.to_indices(names), dtype="int32"))
        return rows[0] if single else rows

    def update_token_vectors(self, tokens, new_vectors):
        """Replaces the vectors of some tokens.

        Parameters
        ----------
        tokens : str or list of str
            To replace that of all unknown tokens, name the unknown token.
        new_vectors : NDArray
            A row for each token; of one token also the vector itself.

        Raises
        ------
        ValueError
            For a token that has no vector.
        AssertionError
            For vectors of another shape.
        """
        names = tokens if isinstance(tokens, list) else [tokens]
        shape = (len(names), self._vec_len)
        allowed = [shape, shape[1:]] if len(names) == 1 else [shape]
        if not isinstance(new_vectors, nd.NDArray) or new_vectors.shape not in allowed:
            raise AssertionError(
                f"update_token_vectors: an NDArray of shape {shape} is needed, got "
                f"{getattr(new_vectors, 'shape', new_vectors)!r}"
            )
        for name in names:
            if name not in self._token_to_idx:
                raise ValueError(
                    f"update_token_vectors: {name!r} has no vector; name the unknown token, "
                    f"{self.unknown_token!r}, to change what such tokens have"
                )
        self._idx_to_vec[self.to_indices(names)] = new_vectors.reshape(shape)


register = get_register_func(_TokenEmbedding, "token embedding")
_create = get_create_func(_TokenEmbedding, "token embedding")


def create(embedding_name, **kwargs):
    """An embedding by its registered name, such as ``'glove'``, with the class's arguments."""
    return _create(embedding_name, **kwargs)


def get_pretrained_file_names(embedding_name=None):
    """The names of an embedding's files; for None a dict of them, by embedding.

    Raises
    ------
    KeyError
        For a name that is not registered.

    >>> import mxtape as mx
    >>> mx.contrib.text.embedding.get_pretrained_file_names("glove")[0]
    'glove.42B.300d.txt'
    """
    known = {
        name: list(cls.pretrained_file_names)
        for name, cls in get_registry(_TokenEmbedding).items()
        if cls.pretrained_file_names
    }
    if embedding_name is None:
        return known
    if embedding_name not in known:
        raise KeyError(
            f"get_pretrained_file_names: no files for {embedding_name!r}, only for {sorted(known)}"
        )
    return known[embedding_name]


class _Pretrained(_TokenEmbedding):
    """An embedding of a file that its authors have published.

    mxtape downloads nothing: the file is expected under `embedding_root`, in a folder of the
    embedding's name.
    """

    def __init__(
        self,
        pretrained_file_name,
        embedding_root=None,
        init_unknown_vec=nd.zeros,
        vocabulary=None,
        **kwargs,
    ):
        name = type(self).__name__.lower()
        if pretrained_file_name not in self.pretrained_file_names:
            raise KeyError(
                f"{name} has no file {pretrained_file_name!r}; see "
                f"get_pretrained_file_names({name!r})"
            )
        root = os.path.join(data_dir(), "embeddings") if embedding_root is None else embedding_root
        path = os.path.join(os.path.expanduser(root), name, pretrained_file_name)
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f"there is no file {path!r}, and mxtape downloads nothing; put it there"
            )
        super().__init__(**kwargs)
        self._load_embedding(path, " ", init_unknown_vec)
        if vocabulary is not None:
            self._restrict(vocabulary)


@register
class GloVe(_Pretrained):
    """Vectors of GloVe (Pennington, Socher, Manning, 2014).

    Parameters
    ----------
    pretrained_file_name : str, default 'glove.840B.300d.txt'
        One of ``get_pretrained_file_names('glove')``.
    embedding_root : str, optional
        Folder that has the folder 'glove' with the file; ``embeddings`` in `mxtape.base.data_dir()`
        by default.
    init_unknown_vec : callable, default mx.nd.zeros
        Makes the vector of unknown tokens from its length, where the file has none.
    vocabulary : Vocabulary, optional
        The tokens to have, in its order; those of the file by default.

    Raises
    ------
    KeyError
        For another file name.
    FileNotFoundError
        When there is no such file: nothing is downloaded.
    """

    pretrained_file_names = tuple(
        f"glove.{name}d.txt"
        for name in "42B.300 6B.50 6B.100 6B.200 6B.300 840B.300 twitter.27B.25 twitter.27B.50 "
        "twitter.27B.100 twitter.27B.200".split()
    )

    def __init__(self, pretrained_file_name="glove.840B.300d.txt", *args, **kwargs):
        super().__init__(pretrained_file_name, *args, **kwargs)


# The languages of the Wikipedias that FastText has vectors for, and those of its aligned vectors.
_LANGUAGES = """
aa ab ace ady af ak als am ang an arc ar arz ast as av ay azb az bar bat_smg ba bcl be bg bh bi
bjn bm bn bo bpy br bs bug bxr ca cbk_zam cdo ceb ce cho chr ch chy ckb co crh cr csb cs cu cv
cy da de diq dsb dv dz ee el eml en eo es et eu ext fa ff fiu_vro fi fj fo frp frr fr fur fy gag
gan ga gd glk gl gn gom got gu gv hak ha haw he hif hi ho hr hsb ht hu hy hz ia id ie ig ii ik
ilo io is it iu jam ja jbo jv kaa kab ka kbd kg ki kj kk kl km kn koi ko krc kr ksh ks ku kv kw
ky lad la lbe lb lez lg lij li lmo ln lo lrc ltg lt lv mai map_bms mdf mg mhr mh min mi mk ml mn
mo mrj mr ms mt mus mwl my myv mzn nah nap na nds_nl nds ne new ng nl nn no nov nrm nso nv ny oc
olo om or os pag pam pap pa pcd pdc pfl pih pi pl pms pnb pnt ps pt qu rm rmy rn roa_rup
roa_tara ro rue ru rw sah sa scn sco sc sd se sg sh simple si sk sl sm sn so sq srn sr ss stq st
su sv sw szl ta tcy tet te tg th ti tk tl tn to tpi tr ts tt tum tw ty tyv udm ug uk ur uz vec
vep ve vi vls vo war wa wo wuu xal xh xmf yi yo za zea zh_classical zh_min_nan zh zh_yue zu
"""
_ALIGNED = """
ar bg ca cs da de el en es et fi fr he hr hu id it mk nl no pl pt ro ru sk sl sv tr uk vi
"""


@register
class FastText(_Pretrained):
    """Vectors of FastText (Bojanowski, Grave, Joulin, Mikolov, 2017).

    Parameters are those of :class:`GloVe`, but that ``pretrained_file_name`` is
    ``'wiki.simple.vec'`` by default.
    """

    pretrained_file_names = (
        "crawl-300d-2M.vec",
        "wiki-news-300d-1M.vec",
        "wiki-news-300d-1M-subword.vec",
        *(f"wiki.{code}.vec" for code in _LANGUAGES.split()),
        *(f"wiki.multi.{code}.vec" for code in _ALIGNED.split()),
    )

    def __init__(self, pretrained_file_name="wiki.simple.vec", *args, **kwargs):
        super().__init__(pretrained_file_name, *args, **kwargs)


class CustomEmbedding(_TokenEmbedding):
    """Vectors of a file of one's own.

    Parameters
    ----------
    pretrained_file_path : str
        A text file: on a line a token and its numbers. A line of one number is taken for a header.
    elem_delim : str, default ' '
        What stands between them.
    encoding : str, default 'utf8'
        The file's.
    init_unknown_vec : callable, default mx.nd.zeros
        Makes the vector of unknown tokens from its length, where the file has none.
    vocabulary : Vocabulary, optional
        The tokens to have, in its order; those of the file by default.
    **kwargs
        As of :class:`~mxtape.contrib.text.vocab.Vocabulary`.

    Raises
    ------
    ValueError
        When there is no such file, or a number cannot be read.
    AssertionError
        When vectors have different lengths, or a line has no numbers.

    Examples
    --------
    >>> import mxtape as mx
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "vectors.txt")
    ...     with open(path, "w") as file:
    ...         _ = file.write("rose 1 2\\ntulip 3 4\\n")
    ...     vectors = mx.contrib.text.embedding.CustomEmbedding(path)
    >>> vectors.get_vecs_by_tokens(["tulip", "oak"]).asnumpy().tolist()
    [[3.0, 4.0], [0.0, 0.0]]
    """

    def __init__(
        self,
        pretrained_file_path,
        elem_delim=" ",
        encoding="utf8",
        init_unknown_vec=nd.zeros,
        vocabulary=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        path = os.path.expanduser(pretrained_file_path)
        if not os.path.isfile(path):
            raise ValueError(f"CustomEmbedding: there is no file {path!r}")
        self._load_embedding(path, elem_delim, init_unknown_vec, encoding)
        if vocabulary is not None:
            self._restrict(vocabulary)


class CompositeEmbedding(_TokenEmbedding):
    """The vectors of several embeddings side by side, for the tokens of a vocabulary.

    Parameters
    ----------
    vocabulary : Vocabulary
    token_embeddings : embedding or list of embeddings
    """

    def __init__(self, vocabulary, token_embeddings):
        parts = token_embeddings if isinstance(token_embeddings, list) else [token_embeddings]
        if not isinstance(vocabulary, vocab.Vocabulary):
            raise AssertionError(f"CompositeEmbedding: {vocabulary!r} is not a Vocabulary")
        if not parts or not all(isinstance(part, _TokenEmbedding) for part in parts):
            raise AssertionError(
                f"CompositeEmbedding: one or more embeddings are needed, got {token_embeddings!r}"
            )
        super().__init__()
        self._take_over(vocabulary)
        vectors = [part.get_vecs_by_tokens(self.idx_to_token) for part in parts]
        self._idx_to_vec = nd.concat(*vectors, dim=1)
        self._vec_len = self._idx_to_vec.shape[1]
