#include "ops/conv/onednn_convolution.h"

#ifdef MXTAPE_ONEDNN

#include <algorithm>
#include <string_view>

#include "core/storage.h"
#include "ops/conv/onednn.h"
#include "ops/conv/onednn_primitive.h"

// The work is cut by size alone into pieces, some images by some channels, and each is computed
// with one thread: the bits cannot depend on the number of threads, and what is brought into
// oneDNN's own order of elements and back stays in a processor's cache.
namespace mxtape::onednn {
namespace {

using dims = dnnl::memory::dims;

// Work that earns a piece, pieces that are enough, and elements that a piece should not exceed.
constexpr int64_t kPieceWork = int64_t{1} << 23, kPieces = 16, kPieceSize = int64_t{1} << 20;

enum class Pass : int64_t { kForward, kToData, kToWeight };
enum Array { kData, kHead, kWeight };

// The channels that are cut: of the result, or of the head for the weight's gradient. With several
// groups it is those that are cut.
int64_t channel_count(const ConvGeometry& g, Pass pass) {
  if (g.groups > 1) return g.groups;
  return pass == Pass::kToData ? g.in_channels : g.out_channels;
}

// The geometry with as many images and channels (or groups) alone.
ConvGeometry cut(const ConvGeometry& whole, Pass pass, int64_t images, int64_t channels) {
  ConvGeometry g = whole;
  g.images = images;
  if (whole.groups > 1) {
    g.in_channels = whole.group_in() * channels;
    g.out_channels = whole.group_out() * channels;
    g.groups = channels;
  } else {
    (pass == Pass::kToData ? g.in_channels : g.out_channels) = channels;
  }
  return g;
}

// `count` cut into pieces of `step`, the last of which may be smaller.
struct Cut {
  int64_t count, step;
  int64_t pieces() const { return (count + step - 1) / step; }
  int64_t begin(int64_t i) const { return i * step; }
  int64_t size(int64_t i) const { return std::min(step, count - i * step); }
};

// Cuts the channels so that there are kPieces with `others` other pieces, each of `work`.
Cut cut_channels(const ConvGeometry& g, Pass pass, int64_t others, int64_t work) {
  const int64_t count = channel_count(g, pass);
  // oneDNN computes 8 or 16 channels at a time, or as many groups of one channel.
  const int64_t unit = g.groups > 1 ? 16 : 32;
  const int64_t wanted =
      std::min({(kPieces + others - 1) / others, work / kPieceWork, count / unit});
  if (wanted <= 1) return {count, count};
  return {count, ((count + wanted - 1) / wanted + 15) / 16 * 16};
}

int argument(Pass pass, Array array) {
  switch (array) {
    case kData:
      return pass == Pass::kToData ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC;
    case kHead:
      return pass == Pass::kForward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST;
    default:
      return pass == Pass::kToWeight ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS;
  }
}

// One array of a piece: its order in the caller's memory and in the primitive's, and the copies.
struct Layout {
  Primitive to_primitive, to_caller;
  size_t bytes = 0;  // in the primitive's order
  bool same() const { return !to_primitive; }
};

struct Convolution {
  Primitive compute;  // empty where oneDNN has nothing fast
  Layout layouts[3];
};

using Found = std::shared_ptr<const Convolution>;

dims spatial(const ConvGeometry& g, const ConvGeometry::Axes& axes) {
  return dims(axes.end() - g.axes, axes.end());
}

dims with_spatial(dims leading, const dims& rest) {
  leading.insert(leading.end(), rest.begin(), rest.end());
  return leading;
}

// A piece of a row-major array: the piece's extents, the strides of an array of `whole` extents.
dnnl::memory::desc piece_of(const dims& piece, const dims& whole) {
  dims strides(whole.size(), 1);
  for (size_t i = whole.size(); i-- > 1;) strides[i - 1] = strides[i] * whole[i];
  return strided(piece, strides);
}

dims image_dims(const ConvGeometry& g, int64_t channels, const ConvGeometry::Axes& axes) {
  return with_spatial({g.images, channels}, spatial(g, axes));
}

dims weight_dims(const ConvGeometry& g) {
  const dims kernel = spatial(g, g.kernel);
  if (g.groups == 1) return with_spatial({g.out_channels, g.in_channels}, kernel);
  return with_spatial({g.groups, g.group_out(), g.group_in()}, kernel);
}

dnnl::memory::desc caller_order(const ConvGeometry& piece, const ConvGeometry& whole, Array array) {
  switch (array) {
    case kData:
      return piece_of(image_dims(piece, piece.in_channels, piece.in),
                      image_dims(whole, whole.in_channels, whole.in));
    case kHead:
      return piece_of(image_dims(piece, piece.out_channels, piece.out),
                      image_dims(whole, whole.out_channels, whole.out));
    default:
      return piece_of(weight_dims(piece), weight_dims(whole));
  }
}

bool is_fast(const char* implementation) {
  return !std::string_view(implementation).starts_with("ref");
}

// The primitive of a pass; empty where oneDNN has none that is fast.
Primitive make_compute(const ConvGeometry& g, Pass pass, bool bias, const Convolution* order) {
  const auto algorithm = dnnl::algorithm::convolution_direct;
  const auto data = any_order(image_dims(g, g.in_channels, g.in)),
             head = any_order(image_dims(g, g.out_channels, g.out)),
             weight =
                 order ? order->compute.desc(argument(pass, kWeight)) : any_order(weight_dims(g));
  dims stride = spatial(g, g.stride), dilate = spatial(g, g.dilate), before = spatial(g, g.pad),
       after = before;
  for (size_t i = 0; i < after.size(); ++i) {
    const size_t axis = g.in.size() - after.size() + i;
    after[i] = (g.out[axis] - 1) * g.stride[axis] + (g.kernel[axis] - 1) * g.dilate[axis] + 1 -
               g.in[axis] - g.pad[axis];
    dilate[i] -= 1;
    if (after[i] <= -stride[i]) return {};
  }
  const auto attributes = caller_scratch();
  const dnnl::convolution_forward::primitive_desc forward(
      cpu(), pass == Pass::kForward ? dnnl::prop_kind::forward_inference : dnnl::prop_kind::forward,
      algorithm, data, weight, bias ? row_major({g.out_channels}) : dnnl::memory::desc(), head,
      stride, dilate, before, after, attributes);
  if (pass == Pass::kForward)
    return is_fast(forward.impl_info_str()) ? Primitive(forward) : Primitive();
  if (pass == Pass::kToData) {
    const dnnl::convolution_backward_data::primitive_desc made(
        cpu(), algorithm, data, weight, head, stride, dilate, before, after, forward, attributes);
    return is_fast(made.impl_info_str()) ? Primitive(made) : Primitive();
  }
  const dnnl::convolution_backward_weights::primitive_desc made(
      cpu(), algorithm, data, weight, head, stride, dilate, before, after, forward, attributes);
  return is_fast(made.impl_info_str()) ? Primitive(made) : Primitive();
}

Convolution make(const ConvGeometry& piece, const ConvGeometry& whole, Pass pass, bool bias,
                 const Found& order) {
  Convolution made;
  if (order && !order->compute) return made;
  try {
    {
      const ThreadLimit one(1);
      made.compute = make_compute(piece, pass, bias, order.get());
      if (!made.compute) return made;
    }
    for (const Array array : {kData, kHead, kWeight}) {
      // The weight is brought into order once, by all threads; all else by the piece's.
      const ThreadLimit limit(array == kWeight ? thread_count() : 1);
      const auto theirs = caller_order(piece, whole, array),
                 own = made.compute.desc(argument(pass, array));
      made.layouts[array] = {reorder(theirs, own), reorder(own, theirs), own.get_size()};
    }
    return made;
  } catch (const dnnl::error&) {
    return {};  // no such primitive: the caller's own kernels do the work
  }
}

// `order`, where there is one, has the weight's order of elements that this one must have too.
Found find(const ConvGeometry& whole, Pass pass, int64_t images, int64_t channels, bool bias,
           const Found& order, int64_t order_images) {
  Key key{kConvolution,
          static_cast<int64_t>(pass),
          bias,
          thread_count(),
          images,
          order_images,
          channels,
          whole.axes,
          whole.groups,
          whole.in_channels,
          whole.out_channels};
  for (const auto* axes :
       {&whole.in, &whole.out, &whole.kernel, &whole.stride, &whole.dilate, &whole.pad})
    key.insert(key.end(), axes->begin(), axes->end());
  return cached<Convolution>(
      key, [&] { return make(cut(whole, pass, images, channels), whole, pass, bias, order); });
}

Ref<Storage> scratch(size_t bytes) { return Storage::allocate(bytes); }

// An array of the caller's in the primitive's order.
struct Ordered {
  Ref<Storage> memory;
  const void* data;
};

Ordered bring(const Layout& layout, const float* from) {
  if (layout.same()) return {{}, from};
  Ordered result{scratch(layout.bytes), nullptr};
  result.data = result.memory->data();
  layout.to_primitive.run({{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, result.data}});
  return result;
}

// The primitives for the pieces of a pass: of `images` images, or of as many as `others` says; of
// whole cuts of the channels or the last one.
class Pieces {
 public:
  Pieces(const ConvGeometry& g, Pass pass, int64_t images, std::initializer_list<int64_t> others,
         Cut channels, bool bias) {
    const int64_t channel_sizes[] = {channels.step, channels.size(channels.pieces() - 1)};
    const auto add = [&](int64_t count) {
      if (count == 0 || (!made_.empty() && has(count))) return;
      Entry entry{count, {}};
      for (int c = 0; c < 2; ++c) {
        const Found order = made_.empty() ? nullptr : made_.front().made[c];
        entry.made[c] =
            find(g, pass, count, channel_sizes[c], bias, order, made_.empty() ? 0 : images);
        usable_ = usable_ && entry.made[c]->compute;
      }
      made_.push_back(std::move(entry));
    };
    add(images);
    for (const int64_t count : others) add(count);
  }

  bool usable() const { return usable_; }
  const Convolution& get(int64_t images, bool last_channels) const {
    for (const Entry& entry : made_) {
      if (entry.images == images) return *entry.made[last_channels];
    }
    fail("oneDNN convolution: no primitive for ", images, " images");
  }

 private:
  struct Entry {
    int64_t images;
    Found made[2];
  };
  bool has(int64_t images) const {
    return std::any_of(made_.begin(), made_.end(),
                       [&](const Entry& entry) { return entry.images == images; });
  }

  std::vector<Entry> made_;
  bool usable_ = true;
};

// Where a cut of the channels starts, in each of the arrays.
struct Offsets {
  Offsets(const ConvGeometry& g, Pass pass, int64_t channel) {
    const int64_t taps = g.taps();
    if (g.groups > 1) {
      in = channel * g.group_in();
      out = channel * g.group_out();
      weight = out * g.group_in() * taps;
    } else if (pass == Pass::kToData) {
      in = channel;
      weight = channel * taps;
    } else {
      out = channel;
      weight = channel * g.in_channels * taps;
    }
  }
  int64_t in = 0, out = 0, weight = 0;
};

const float* data_at(const ConvGeometry& g, const float* data, int64_t image, const Offsets& at) {
  return data + (image * g.in_channels + at.in) * g.in_size();
}
const float* head_at(const ConvGeometry& g, const float* head, int64_t image, const Offsets& at) {
  return head + (image * g.out_channels + at.out) * g.out_size();
}

// Where products of matrices were faster (docs/notes/convolutions.md). oneDNN brings arrays into an
// order of its own and back, which is much of the work of kernels of one tap, and fills up channels
// to 8 or 16.
bool products_are_faster(const ConvGeometry& g, Pass pass) {
  if (g.groups > 1) return false;
  if (g.taps() == 1) return g.out_size() >= 128;
  if (g.in_channels <= 4 && g.out_channels >= 16)
    return g.in_channels <= 2 || pass == Pass::kToData ||
           (pass == Pass::kToWeight && g.in_channels != 3);
  if (g.in_channels <= 8 || g.in_channels % 8 == 0) return false;
  return pass == Pass::kToWeight || (pass == Pass::kToData && g.pad == ConvGeometry::Axes{0, 0, 0});
}

bool is_empty(const ConvGeometry& g) {
  return g.data_size() == 0 || g.head_size() == 0 || g.weight_size() == 0;
}

// The two passes whose result has images: forward, and to the data.
bool run_images(const ConvGeometry& g, Pass pass, const float* source, const float* weight,
                const float* bias, float* result) {
  if (!enabled() || is_empty(g) || products_are_faster(g, pass)) return false;
  const Array from = pass == Pass::kForward ? kData : kHead,
              to = pass == Pass::kForward ? kHead : kData;
  const Cut images{g.images, std::clamp<int64_t>(kPieceWork / g.image_work(), 1, g.images)};
  const Cut channels = cut_channels(g, pass, images.pieces(), g.image_work() * images.step);
  const bool fused_bias = bias && pass == Pass::kForward;
  const int64_t along = images.pieces(), across = channels.pieces();
  const Pieces primitives(g, pass, images.step, {images.size(along - 1)}, channels, fused_bias);
  if (!primitives.usable()) return false;

  // All primitives take the weight in one order.
  std::vector<Ordered> weights;
  for (int64_t c = 0; c < across; ++c) {
    const ThreadLimit all(thread_count());
    weights.push_back(bring(primitives.get(images.step, c == across - 1).layouts[kWeight],
                            weight + Offsets(g, pass, channels.begin(c)).weight));
  }
  parallel_for(along * across, 1, [&](int64_t begin, int64_t end) {
    const ThreadLimit one(1);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t piece = i / across, c = i % across, image = images.begin(piece);
      const Offsets at(g, pass, channels.begin(c));
      const Convolution& conv = primitives.get(images.size(piece), c == across - 1);
      const float* source_at =
          from == kData ? data_at(g, source, image, at) : head_at(g, source, image, at);
      float* target = const_cast<float*>(to == kData ? data_at(g, result, image, at)
                                                     : head_at(g, result, image, at));
      const Ordered in = bring(conv.layouts[from], source_at);
      const Layout& out_layout = conv.layouts[to];
      const Ref<Storage> out_memory = out_layout.same() ? nullptr : scratch(out_layout.bytes);
      const void* out = out_layout.same() ? target : static_cast<void*>(out_memory->data());
      const Argument arguments[] = {{argument(pass, from), in.data},
                                    {argument(pass, kWeight), weights[c].data},
                                    {argument(pass, to), out},
                                    {DNNL_ARG_BIAS, fused_bias ? bias + at.out : nullptr}};
      conv.compute.run(std::span(arguments, fused_bias ? 4 : 3));
      if (!out_layout.same())
        out_layout.to_caller.run({{DNNL_ARG_FROM, out}, {DNNL_ARG_TO, target}});
      if (bias && !fused_bias) {
        const ConvGeometry part = cut(g, pass, 1, channels.size(c));
        for (int64_t n = 0; n < images.size(piece); ++n)
          add_bias(target + n * g.in_channels * g.in_size(), bias + at.in, part.in_channels,
                   g.in_size());
      }
    }
  });
  return true;
}

}  // namespace

bool convolve(const ConvGeometry& g, const float* data, const float* weight, const float* bias,
              float* head) {
  return run_images(g, Pass::kForward, data, weight, bias, head);
}

bool convolve_to_data(const ConvGeometry& g, const float* head, const float* weight,
                      const float* bias, float* data) {
  return run_images(g, Pass::kToData, head, weight, bias, data);
}

// The images are cut into parts, whose sums are added at the end; a part runs some images at a
// time.
bool convolve_to_weight(const ConvGeometry& g, const float* head, const float* data,
                        float* weight) {
  if (!enabled() || is_empty(g) || products_are_faster(g, Pass::kToWeight)) return false;
  constexpr Pass kPass = Pass::kToWeight;
  const int64_t wanted = std::clamp<int64_t>(
      std::min(g.images * g.image_work() / kPieceWork, (int64_t{1} << 25) / g.weight_size()), 1,
      std::min(g.images, kPieces));
  const Cut parts{g.images, (g.images + wanted - 1) / wanted};
  const Cut channels = cut_channels(g, kPass, parts.pieces(), g.image_work() * parts.step);
  const int64_t image_size = (g.data_size() + g.head_size()) / g.images;
  const int64_t at_once = std::clamp<int64_t>(kPieceSize / image_size, 1, parts.step);
  const int64_t last_part = parts.size(parts.pieces() - 1), across = channels.pieces();
  const Pieces primitives(g, kPass, at_once, {parts.step % at_once, last_part % at_once}, channels,
                          false);
  if (!primitives.usable()) return false;

  // For each cut of the channels the parts' sums, one behind the other, in the primitive's order.
  std::vector<Ref<Storage>> sums;
  const auto layout = [&](int64_t c) -> const Layout& {
    return primitives.get(at_once, c == across - 1).layouts[kWeight];
  };
  for (int64_t c = 0; c < across; ++c)
    sums.push_back(scratch(layout(c).bytes * static_cast<size_t>(parts.pieces())));
  parallel_for(parts.pieces() * across, 1, [&](int64_t begin, int64_t end) {
    const ThreadLimit one(1);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i / across, c = i % across;
      const size_t bytes = layout(c).bytes;
      const auto size = static_cast<int64_t>(bytes / sizeof(float));
      float* sum = reinterpret_cast<float*>(sums[c]->data()) + part * size;
      const Ref<Storage> more = parts.step > at_once ? scratch(bytes) : nullptr;
      const Offsets at(g, kPass, channels.begin(c));
      const Cut runs{parts.size(part), at_once};
      for (int64_t r = 0; r < runs.pieces(); ++r) {
        const int64_t image = parts.begin(part) + runs.begin(r);
        const Convolution& conv = primitives.get(runs.size(r), c == across - 1);
        const Ordered x = bring(conv.layouts[kData], data_at(g, data, image, at)),
                      y = bring(conv.layouts[kHead], head_at(g, head, image, at));
        float* result = r == 0 ? sum : reinterpret_cast<float*>(more->data());
        conv.compute.run({{argument(kPass, kData), x.data},
                          {argument(kPass, kHead), y.data},
                          {argument(kPass, kWeight), result}});
        for (int64_t e = 0; r > 0 && e < size; ++e) sum[e] += result[e];
      }
    }
  });
  for (int64_t c = 0; c < across; ++c) {
    float* sum = reinterpret_cast<float*>(sums[c]->data());
    float* target = weight + Offsets(g, kPass, channels.begin(c)).weight;
    const auto size = static_cast<int64_t>(layout(c).bytes / sizeof(float));
    sum_parts(sum, parts.pieces(), size, layout(c).same() ? target : sum);
    const ThreadLimit all(thread_count());
    if (!layout(c).same()) layout(c).to_caller.run({{DNNL_ARG_FROM, sum}, {DNNL_ARG_TO, target}});
  }
  return true;
}

}  // namespace mxtape::onednn

#else

namespace mxtape::onednn {

bool convolve(const ConvGeometry&, const float*, const float*, const float*, float*) {
  return false;
}
bool convolve_to_data(const ConvGeometry&, const float*, const float*, const float*, float*) {
  return false;
}
bool convolve_to_weight(const ConvGeometry&, const float*, const float*, float*) { return false; }

}  // namespace mxtape::onednn

#endif
