#include "ops/vision/boxes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "op/declare.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Bounding boxes: overlap, suppression, encoding against anchors, matching.
namespace mxtape {
namespace {

struct FormatParams {
  BoxFormat format = BoxFormat::kCorner;
  template <class V>
  void visit(V& v) {
    v("format", format, "corner: left, top, right, bottom. center: x, y, width, height.",
      kBoxFormats);
  }
};

struct NmsParams {
  double overlap_thresh = 0.5;
  double valid_thresh = 0;
  int64_t topk = -1;
  int64_t coord_start = 2;
  int64_t score_index = 1;
  int64_t id_index = -1;
  int64_t background_id = -1;
  bool force_suppress = false;
  BoxFormat in_format = BoxFormat::kCorner;
  BoxFormat out_format = BoxFormat::kCorner;
  template <class V>
  void visit(V& v) {
    v("overlap_thresh", overlap_thresh, "A box that overlaps a better one by more is dropped.");
    v("valid_thresh", valid_thresh, "A box needs a score above this.");
    v("topk", topk, "How many of the best boxes are looked at; all when negative.");
    v("coord_start", coord_start, "Where the four coordinates begin in a row.");
    v("score_index", score_index, "Where the score is.");
    v("id_index", id_index, "Where the class is; without one when negative.");
    v("background_id", background_id, "The class whose boxes are dropped.");
    v("force_suppress", force_suppress, "Whether boxes of different classes compete too.");
    v("in_format", in_format, "Format of the coordinates in data.", kBoxFormats);
    v("out_format", out_format, "Format of the coordinates in the result.", kBoxFormats);
  }
};

struct DecodeParams {
  double std0 = 1, std1 = 1, std2 = 1, std3 = 1;
  double clip = -1;
  BoxFormat format = BoxFormat::kCenter;
  template <class V>
  void visit(V& v) {
    v("std0", std0, "What the first offset is multiplied by.");
    v("std1", std1, "What the second offset is multiplied by.");
    v("std2", std2, "What the third offset is multiplied by.");
    v("std3", std3, "What the fourth offset is multiplied by.");
    v("clip", clip, "Upper bound of the logarithms of sizes, when positive.");
    v("format", format, "Format of the anchors.", kBoxFormats);
  }
};

struct MatchingParams {
  bool is_ascend = false;
  double threshold = 0;
  int64_t topk = -1;
  template <class V>
  void visit(V& v) {
    v("is_ascend", is_ascend, "Whether small scores are the good ones.");
    v.required("threshold", threshold, "Pairs must have a better score than this.");
    v("topk", topk, "When positive: matching ends when there are more pairs than this.");
  }
};

void expect_boxes(const InferCall& call, size_t i) {
  const Shape& s = call.shape(i);
  call.expect(s.ndim() >= 2 && s[s.ndim() - 1] == 4,
              "boxes must have shape (..., number of boxes, 4)");
}

OP(_contrib_box_iou)
    .inputs("lhs", "rhs")
    .params<FormatParams>()
    .infer([](InferCall& call) {
      call.expect_floating();
      call.expect_same_dtype();
      expect_boxes(call, 0);
      expect_boxes(call, 1);
      const Shape &a = call.shape(0), &b = call.shape(1);
      Ints out(a.begin(), a.end() - 1);
      out.insert(out.end(), b.begin(), b.end() - 1);
      checked_size(Shape(out), call.name());
      call.output(0, Shape(out), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const BoxFormat format = call.params<FormatParams>().format;
      const int64_t rows = call.in(0).size() / 4, columns = call.in(1).size() / 4;
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = compute_type<T>;
        const T *lhs = call.in(0).data<T>(), *rhs = call.in(1).data<T>();
        T* to = call.out().data<T>();
        const int64_t grain = std::max<int64_t>(1, (1 << 12) / std::max<int64_t>(1, columns));
        parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const auto a = Box<C>::read(lhs + 4 * i, format);
            for (int64_t j = 0; j < columns; ++j) {
              to[i * columns + j] = static_cast<T>(overlap(a, Box<C>::read(rhs + 4 * j, format)));
            }
          }
        });
      });
    })
    .zero_grad()
    .keep_input(1, Keep::kShape)
    .doc("Intersection over union of every box of lhs, (..., 4), with every box of rhs, (..., 4).")
    .example(R"(
>>> a, b = mx.nd.array([[0, 0, 2, 2]]), mx.nd.array([[0, 0, 2, 1], [5, 5, 6, 6]])
>>> mx.nd.contrib.box_iou(a, b).asnumpy().tolist()
[[0.5, 0.0]]
)");

// ---- non-maximum suppression

const fn::Op<> move_rows{"_box_rows"};

// The rows of one table of boxes that survive, best first; `order` and `boxes` are scratch space.
template <class T>
void surviving_rows(const NmsParams& p, const T* rows, int64_t count, int64_t width,
                    std::vector<int64_t>& order, std::vector<int64_t>& kept,
                    std::vector<Box<compute_type<T>>>& boxes) {
  using C = compute_type<T>;
  const auto at = [&](int64_t row, int64_t column) {
    return static_cast<C>(rows[row * width + column]);
  };
  order.clear();
  for (int64_t r = 0; r < count; ++r) {
    const bool background = p.id_index >= 0 && at(r, p.id_index) == static_cast<C>(p.background_id);
    if (at(r, p.score_index) > static_cast<C>(p.valid_thresh) && !background) order.push_back(r);
  }
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return at(a, p.score_index) > at(b, p.score_index);
  });
  if (p.topk >= 0 && static_cast<int64_t>(order.size()) > p.topk) {
    order.resize(static_cast<size_t>(p.topk));
  }
  kept.clear();
  boxes.clear();
  const bool by_class = p.id_index >= 0 && !p.force_suppress;
  const C limit = static_cast<C>(p.overlap_thresh);
  for (const int64_t r : order) {
    const auto box = Box<C>::read(rows + r * width + p.coord_start, p.in_format);
    bool keep = true;
    for (size_t k = 0; keep && k < kept.size(); ++k) {
      if (by_class && at(r, p.id_index) != at(kept[k], p.id_index)) continue;
      keep = !(overlap(boxes[k], box) > limit);
    }
    if (!keep) continue;
    kept.push_back(r);
    boxes.push_back(box);
  }
}

template <class T>
void suppress(const KernelCall& call) {
  using C = compute_type<T>;
  const auto& p = call.params<NmsParams>();
  const NDArray& data = call.in(0);
  const int ndim = data.ndim();
  const int64_t count = data.shape()[ndim - 2], width = data.shape()[ndim - 1];
  const T* from = data.data<T>();
  T* to = call.out(0).data<T>();
  int64_t *source = call.out(1).data<int64_t>(), *target = call.out(2).data<int64_t>();
  if (p.topk == 0) {
    std::memcpy(to, from, data.nbytes());
    std::iota(source, source + call.out(1).size(), int64_t{0});
    std::iota(target, target + call.out(2).size(), int64_t{0});
    return;
  }
  std::fill(source, source + call.out(1).size(), int64_t{-1});
  std::fill(target, target + call.out(2).size(), int64_t{-1});
  parallel_for(data.shape().product(0, ndim - 2), 1, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> order, kept;
    std::vector<Box<C>> boxes;
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * count;
      surviving_rows(p, from + first * width, count, width, order, kept, boxes);
      T* row = to + first * width;
      std::fill(row, row + count * width, convert_value<T>(-1));
      for (size_t k = 0; k < kept.size(); ++k, row += width) {
        const int64_t at = first + static_cast<int64_t>(k);
        source[at] = first + kept[k];
        target[first + kept[k]] = at;
        std::copy_n(from + source[at] * width, width, row);
        if (p.in_format == p.out_format) continue;
        T* box = row + p.coord_start;
        if (p.out_format == BoxFormat::kCorner) {
          const auto c = Box<C>::read(box, BoxFormat::kCenter);
          const C sides[] = {c.left, c.top, c.right, c.bottom};
          for (int i = 0; i < 4; ++i) box[i] = static_cast<T>(sides[i]);
        } else {
          const auto c = Box<C>::read(box);
          const C sides[] = {c.x(), c.y(), c.width(), c.height()};
          for (int i = 0; i < 4; ++i) box[i] = static_cast<T>(sides[i]);
        }
      }
    }
  });
}

OP(_contrib_box_nms)
    .alias("_contrib_box_non_maximum_suppression")
    .inputs("data")
    .params<NmsParams>()
    .outputs(3, 1)
    .infer([](InferCall& call) {
      const auto& p = call.params<NmsParams>();
      const Shape& in = call.shape(0);
      call.expect_floating();
      call.expect(in.ndim() >= 2, "data must have shape (..., number of boxes, width)");
      const int64_t width = in[in.ndim() - 1];
      const auto is_coordinate = [&](int64_t i) {
        return i >= p.coord_start && i < p.coord_start + 4;
      };
      call.expect(p.coord_start >= 0 && p.coord_start <= width - 4,
                  "coord_start must leave room for four coordinates in a row of ", width);
      call.expect(p.score_index >= 0 && p.score_index < width && !is_coordinate(p.score_index),
                  "score_index must be a place in a row of ", width,
                  " that is not of a coordinate");
      call.expect(p.id_index < 0 || (p.id_index < width && !is_coordinate(p.id_index) &&
                                     p.id_index != p.score_index),
                  "id_index must be a place in a row of ", width,
                  " that is neither of a coordinate nor of the score");
      Ints rows(in.begin(), in.end() - 1);
      call.output(0, in, call.dtype(0));
      call.output(1, Shape(rows), DType::kInt64);
      call.output(2, Shape(rows), DType::kInt64);
    })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.in(0).dtype(),
                              [&](auto tag) { suppress<typename decltype(tag)::type>(call); });
    })
    .keep_output(1)
    .keep_output(2)
    .vjp([](Vjp& v) { v.grad(0, move_rows(v.head(), v.output(2), v.output(1))); })
    .doc(
        "Drops each box that overlaps one of a higher score; rows (class, score, coordinates) are "
        "in any order. The result has the boxes that stay, best first, then rows of -1. Gradients "
        "flow to the rows that stay, as if their format was not changed.")
    .example(R"(
>>> boxes = mx.nd.array([[0, 0.5, 0, 0, 2, 2], [0, 0.75, 0, 0, 2, 1.5]])  # overlap: 3/4
>>> print(mx.nd.contrib.box_nms(boxes).asnumpy())
[[ 0.    0.75  0.    0.    2.    1.5 ]
 [-1.   -1.   -1.   -1.   -1.   -1.  ]]
>>> print(mx.nd.contrib.box_nms(boxes, overlap_thresh=0.8).asnumpy())
[[0.   0.75 0.   0.   2.   1.5 ]
 [0.   0.5  0.   0.   2.   2.  ]]
)");

OP(_box_rows)
    .inputs("data", "source", "target")
    .infer([](InferCall& call) {
      const Shape& in = call.shape(0);
      call.expect_floating();
      call.expect(in.ndim() >= 2 && call.shape(1) == Shape(in.dims().first(in.dims().size() - 1)) &&
                      call.shape(2) == call.shape(1) && call.dtype(1) == DType::kInt64 &&
                      call.dtype(2) == DType::kInt64,
                  "source and target must be an int64 for each row of data");
      call.output(0, in, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const NDArray &data = call.in(0), &out = call.out();
      const int64_t rows = call.in(1).size();
      if (out.size() == 0) return;
      const auto bytes = static_cast<int64_t>(data.nbytes()) / rows;
      const int64_t* source = call.in(1).data<int64_t>();
      for (int64_t r = 0; r < rows; ++r) {
        char* to = out.bytes() + r * bytes;
        if (source[r] >= 0 && source[r] < rows) {
          std::memcpy(to, data.bytes() + source[r] * bytes, static_cast<size_t>(bytes));
        } else {
          std::memset(to, 0, static_cast<size_t>(bytes));
        }
      }
    })
    .no_grad_inputs(1, 2)
    .keep_inputs({Keep::kNothing, Keep::kData, Keep::kData})
    .vjp([](Vjp& v) { v.grad(0, move_rows(v.head(), v.input(2), v.input(1))); })
    .doc(
        "Row source[r] of data as row r, or zeros for -1; no row twice. target says where each row "
        "went.");

// ---- offsets from anchors

// Checks that what is to be encoded names existing boxes of reference.
void check_matches(const CheckCall& call) {
  const int64_t n = call.shape(0)[1], references = call.shape(3)[1];
  dispatch<FloatingTypes>(call.dtype(0), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    const T *samples = call.input(0).data<T>(), *matches = call.input(1).data<T>();
    for (int64_t k = 0; k < call.shape(0).size(); ++k) {
      const C match = static_cast<C>(matches[k]);
      const bool ok = !(static_cast<C>(samples[k]) > C(.5)) ||
                      (match > -1 && match < static_cast<C>(references));
      call.expect(ok, "matches[", k / n, ", ", k % n, "] is ", static_cast<double>(match),
                  ", refs has ", references, " boxes");
    }
  });
}

template <class T>
void encode(const KernelCall& call) {
  using C = compute_type<T>;
  const int64_t n = call.in(0).shape()[1], references = call.in(3).shape()[1];
  const T *samples = call.in(0).data<T>(), *matches = call.in(1).data<T>();
  const T *anchors = call.in(2).data<T>(), *refs = call.in(3).data<T>();
  const T *means = call.in(4).data<T>(), *stds = call.in(5).data<T>();
  T *targets = call.out(0).data<T>(), *masks = call.out(1).data<T>();
  parallel_for(call.in(0).size(), 1 << 10, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      C offsets[4] = {};
      const bool used = static_cast<C>(samples[k]) > C(.5);
      if (used) {
        const auto match = static_cast<int64_t>(static_cast<C>(matches[k]));
        const auto ref = Box<C>::read(refs + (k / n * references + match) * 4);
        const auto anchor = Box<C>::read(anchors + 4 * k);
        offsets[0] = (ref.x() - anchor.x()) / anchor.width();
        offsets[1] = (ref.y() - anchor.y()) / anchor.height();
        offsets[2] = std::log(ref.width() / anchor.width());
        offsets[3] = std::log(ref.height() / anchor.height());
      }
      for (int i = 0; i < 4; ++i) {
        const C offset = (offsets[i] - static_cast<C>(means[i])) / static_cast<C>(stds[i]);
        targets[4 * k + i] = used ? static_cast<T>(offset) : T(0);
        masks[4 * k + i] = convert_value<T>(used ? 1 : 0);
      }
    }
  });
}

OP(_contrib_box_encode)
    .inputs("samples", "matches", "anchors", "refs", "means", "stds")
    .outputs(2)
    .infer([](InferCall& call) {
      const Shape &samples = call.shape(0), &refs = call.shape(3);
      call.expect_floating();
      call.expect_same_dtype();
      call.expect(samples.ndim() == 2, "samples must have shape (N, boxes)");
      const Shape out = {samples[0], samples[1], 4};
      call.expect(call.shape(1) == samples, "matches must have the shape of samples");
      call.expect(call.shape(2) == out, "anchors must have shape ", out);
      call.expect(refs.ndim() == 3 && refs[0] == samples[0] && refs[2] == 4,
                  "refs must have shape (N, boxes of reference, 4)");
      call.expect(call.shape(4) == Shape{4} && call.shape(5) == Shape{4},
                  "means and stds must have shape (4,)");
      call.output(0, out, call.dtype(0));
      call.output(1, out, call.dtype(0));
    })
    .check(check_matches)
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.in(0).dtype(),
                              [&](auto tag) { encode<typename decltype(tag)::type>(call); });
    })
    .zero_grad()
    .keep_inputs({Keep::kShape, Keep::kShape, Keep::kShape, Keep::kShape, Keep::kShape,
                  Keep::kShape})
    .doc(
        "Where samples are positive, the offsets of the matched boxes of reference from the "
        "anchors, less means and divided by stds; and a mask of those places. Boxes are corners.")
    .example(R"(
>>> anchors, refs = mx.nd.array([[[4, 3, 6, 7]]]), mx.nd.array([[[5, 3, 7, 7]]])
>>> samples, matches = mx.nd.array([[1]]), mx.nd.array([[0]])  # anchor 0 is box 0
>>> means, stds = mx.nd.zeros(4), mx.nd.ones(4)
>>> y, mask = mx.nd.contrib.box_encode(samples, matches, anchors, refs, means, stds)
>>> y.asnumpy().tolist(), mask.asnumpy().tolist()
([[[0.5, 0.0, 0.0, 0.0]]], [[[1.0, 1.0, 1.0, 1.0]]])
)");

template <class T>
void decode(const KernelCall& call) {
  using C = compute_type<T>;
  const auto& p = call.params<DecodeParams>();
  const NDArray &data = call.in(0), &anchors = call.in(1);
  const int64_t n = anchors.shape()[1];
  const T *from = data.data<T>(), *boxes = anchors.data<T>();
  T* to = call.out().data<T>();
  const C std0 = static_cast<C>(p.std0), std1 = static_cast<C>(p.std1);
  const C std2 = static_cast<C>(p.std2), std3 = static_cast<C>(p.std3);
  const C limit = p.clip > 0 ? static_cast<C>(p.clip) : std::numeric_limits<C>::infinity();
  parallel_for(data.size() / 4, 1 << 10, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const auto anchor = Box<C>::read(boxes + k % n * 4, p.format);
      const T* offset = from + 4 * k;
      const C x = static_cast<C>(offset[0]) * std0 * anchor.width() + anchor.x();
      const C y = static_cast<C>(offset[1]) * std1 * anchor.height() + anchor.y();
      const C w = std::exp(std::min(static_cast<C>(offset[2]) * std2, limit)) * anchor.width() / 2;
      const C h = std::exp(std::min(static_cast<C>(offset[3]) * std3, limit)) * anchor.height() / 2;
      const C sides[] = {x - w, y - h, x + w, y + h};
      for (int i = 0; i < 4; ++i) to[4 * k + i] = static_cast<T>(sides[i]);
    }
  });
}

OP(_contrib_box_decode)
    .inputs("data", "anchors")
    .params<DecodeParams>()
    .infer([](InferCall& call) {
      const Shape &data = call.shape(0), &anchors = call.shape(1);
      call.expect_floating();
      call.expect_same_dtype();
      call.expect(data.ndim() == 3 && data[2] == 4, "data must have shape (N, boxes, 4)");
      call.expect(anchors == Shape({1, data[1], 4}), "anchors must have shape ",
                  Shape{1, data[1], 4});
      call.output(0, data, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.in(0).dtype(),
                              [&](auto tag) { decode<typename decltype(tag)::type>(call); });
    })
    .zero_grad()
    .keep_input(1, Keep::kShape)
    .doc("Boxes, as corners, from their offsets from anchors: what box_encode gives, undone.")
    .example(R"(
>>> anchors = mx.nd.array([[[5, 5, 2, 4]]])  # centre, width and height
>>> offsets = mx.nd.array([[[0.5, 0, 0, 0]]])  # half a width to the right
>>> mx.nd.contrib.box_decode(offsets, anchors).asnumpy().tolist()
[[[5.0, 3.0, 7.0, 7.0]]]
)");

// ---- matching

template <class T>
void match(const KernelCall& call) {
  using C = compute_type<T>;
  const auto& p = call.params<MatchingParams>();
  const NDArray& data = call.in(0);
  const int ndim = data.ndim();
  const int64_t rows = data.shape()[ndim - 2], columns = data.shape()[ndim - 1];
  const T* from = data.data<T>();
  T *of_row = call.out(0).data<T>(), *of_column = call.out(1).data<T>();
  const C threshold = static_cast<C>(p.threshold);
  const auto better = [&](C a, C b) { return p.is_ascend ? a < b : a > b; };
  std::fill(of_row, of_row + call.out(0).size(), convert_value<T>(-1));
  std::fill(of_column, of_column + call.out(1).size(), convert_value<T>(-1));
  parallel_for(data.shape().product(0, ndim - 2), 1, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> order;
    std::vector<char> row_taken, column_taken;
    for (int64_t b = begin; b < end; ++b) {
      const T* scores = from + b * rows * columns;
      order.clear();
      for (int64_t k = 0; k < rows * columns; ++k) {
        if (better(static_cast<C>(scores[k]), threshold)) order.push_back(k);
      }
      std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) {
        return better(static_cast<C>(scores[x]), static_cast<C>(scores[y]));
      });
      row_taken.assign(static_cast<size_t>(rows), 0);
      column_taken.assign(static_cast<size_t>(columns), 0);
      int64_t pairs = 0;
      for (const int64_t k : order) {
        const int64_t i = k / columns, j = k % columns;
        if (row_taken[static_cast<size_t>(i)] || column_taken[static_cast<size_t>(j)]) continue;
        row_taken[static_cast<size_t>(i)] = column_taken[static_cast<size_t>(j)] = 1;
        of_row[b * rows + i] = convert_value<T>(static_cast<double>(j));
        of_column[b * columns + j] = convert_value<T>(static_cast<double>(i));
        if (++pairs > p.topk && p.topk > 0) break;
      }
    }
  });
}

OP(_contrib_bipartite_matching)
    .inputs("data")
    .params<MatchingParams>()
    .outputs(2)
    .infer([](InferCall& call) {
      const Shape& in = call.shape(0);
      call.expect_floating();
      call.expect(in.ndim() >= 2, "data must have shape (..., rows, columns)");
      Ints rows(in.begin(), in.end() - 1), columns(in.begin(), in.end() - 2);
      columns.push_back(in[in.ndim() - 1]);
      call.output(0, Shape(rows), call.dtype(0));
      call.output(1, Shape(columns), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.in(0).dtype(),
                              [&](auto tag) { match<typename decltype(tag)::type>(call); });
    })
    .zero_grad()
    .doc(
        "Pairs rows with columns, best score first, each once: for every row its column and for "
        "every column its row, -1 for none.")
    .example(R"(
>>> scores = mx.nd.array([[0.5, 0.6], [0.1, 0.9], [0.2, 0.3]])
>>> columns, rows = mx.nd.contrib.bipartite_matching(scores, threshold=0.2)
>>> columns.asnumpy().tolist(), rows.asnumpy().tolist()  # row 0 gets what row 1 leaves
([0.0, 1.0, -1.0], [0.0, 1.0])
)");

}  // namespace
}  // namespace mxtape
