#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "op/declare.h"
#include "ops/shared/strided.h"
#include "ops/vision/boxes.h"
#include "runtime/parallel.h"

// Regions that a network proposes: boxes around every cell of a map, moved as the network says, and
// the best of them that do not overlap too much. Pixels have whole coordinates, so that a box from
// pixel 0 to pixel 15 is 16 wide.
namespace mxtape {
namespace {

struct ProposalParams {
  int64_t rpn_pre_nms_top_n = 6000, rpn_post_nms_top_n = 300;
  double threshold = 0.7;
  int64_t rpn_min_size = 16;
  Floats scales = {4, 8, 16, 32};
  Floats ratios = {0.5, 1, 2};
  int64_t feature_stride = 16;
  bool output_score = false;
  bool iou_loss = false;
  template <class V>
  void visit(V& v) {
    v("rpn_pre_nms_top_n", rpn_pre_nms_top_n,
      "How many boxes of the highest scores are looked at; all when not positive.");
    v("rpn_post_nms_top_n", rpn_post_nms_top_n, "How many boxes each image gets.");
    v("threshold", threshold,
      "Boxes whose intersection over union with a better one is above it are dropped.");
    v("rpn_min_size", rpn_min_size,
      "In the scale of im_info: boxes narrower or lower than it come last.");
    v("scales", scales, "Sizes of the boxes around a cell, as multiples of it.");
    v("ratios", ratios, "Their heights over their widths.");
    v("feature_stride", feature_stride, "Pixels of the image along the side of a cell.");
    v("output_score", output_score, "Whether to return the scores too.");
    v("iou_loss", iou_loss,
      "Whether bbox_pred is added to the sides of a box, instead of moving and scaling it.");
  }
  int64_t anchors() const { return static_cast<int64_t>(scales.size() * ratios.size()); }
};

// The boxes around the first cell: for each ratio, one of every scale. Sizes before scaling are
// whole numbers of pixels.
template <class C>
std::vector<Box<C>> anchor_boxes(const ProposalParams& p) {
  const double side = static_cast<double>(p.feature_stride), middle = (side - 1) / 2;
  std::vector<Box<C>> boxes;
  for (const double ratio : p.ratios) {
    const double width = std::floor(std::sqrt(std::floor(side * side / ratio)) + 0.5);
    const double height = std::floor(width * ratio + 0.5);
    for (const double scale : p.scales) {
      const double dx = (width * scale - 1) / 2, dy = (height * scale - 1) / 2;
      boxes.push_back({static_cast<C>(middle - dx), static_cast<C>(middle - dy),
                       static_cast<C>(middle + dx), static_cast<C>(middle + dy)});
    }
  }
  return boxes;
}

template <class C>
struct Candidate {
  Box<C> box;
  C score;
};

// Intersection over union of boxes of whole pixels.
template <class C>
C pixel_overlap(const Box<C>& a, const Box<C>& b) {
  return overlap(Box<C>{a.left, a.top, a.right + 1, a.bottom + 1},
                 Box<C>{b.left, b.top, b.right + 1, b.bottom + 1});
}

template <class C>
Box<C> moved(const Box<C>& from, const C (&by)[4], bool sides) {
  if (sides) return {from.left + by[0], from.top + by[1], from.right + by[2], from.bottom + by[3]};
  const C width = from.width() + 1, height = from.height() + 1;
  const C x = by[0] * width + from.left + (width - 1) / 2;
  const C y = by[1] * height + from.top + (height - 1) / 2;
  const C dx = (std::exp(by[2]) * width - 1) / 2, dy = (std::exp(by[3]) * height - 1) / 2;
  return {x - dx, y - dy, x + dx, y + dy};
}

// The boxes of one image, in the order of rows, columns and anchors, with their scores: -1 for what
// is beyond the image or too small. `scores` and `moves` are maps of H by W, one for each anchor
// and four.
template <class T, class C = compute_type<T>>
std::vector<Candidate<C>> candidates_of(const ProposalParams& p, const std::vector<Box<C>>& anchors,
                                        const T* scores, const T* moves, const T* info, int64_t H,
                                        int64_t W) {
  const C bottom = static_cast<C>(info[0]) - 1, right = static_cast<C>(info[1]) - 1;
  const C stride = static_cast<C>(p.feature_stride);
  const C rows = std::trunc(static_cast<C>(info[0]) / stride);
  const C columns = std::trunc(static_cast<C>(info[1]) / stride);
  const C least = static_cast<C>(p.rpn_min_size) * static_cast<C>(info[2]);
  std::vector<Candidate<C>> found;
  found.reserve(static_cast<size_t>(H * W) * anchors.size());
  for (int64_t cell = 0; cell < H * W; ++cell) {
    const C i = static_cast<C>(cell / W), j = static_cast<C>(cell % W);
    for (size_t a = 0; a < anchors.size(); ++a) {
      const auto map = static_cast<int64_t>(a) * H * W + cell;
      const C x = j * stride, y = i * stride;
      const Box<C>& anchor = anchors[a];
      C by[4];
      for (int64_t k = 0; k < 4; ++k)
        by[k] = static_cast<C>(moves[(static_cast<int64_t>(a) * 4 + k) * H * W + cell]);
      Box<C> box =
          moved(Box<C>{anchor.left + x, anchor.top + y, anchor.right + x, anchor.bottom + y}, by,
                p.iou_loss);
      box = {std::max(std::min(box.left, right), C(0)), std::max(std::min(box.top, bottom), C(0)),
             std::max(std::min(box.right, right), C(0)),
             std::max(std::min(box.bottom, bottom), C(0))};
      C score = i < rows && j < columns ? static_cast<C>(scores[map]) : C(-1);
      if (box.width() + 1 < least || box.height() + 1 < least) {
        box = {box.left - least / 2, box.top - least / 2, box.right + least / 2,
               box.bottom + least / 2};
        score = -1;
      }
      found.push_back({box, score});
    }
  }
  return found;
}

// Which candidates are kept, the best first.
template <class C>
std::vector<int64_t> best_of(const ProposalParams& p, const std::vector<Candidate<C>>& all) {
  std::vector<int64_t> order(all.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto score = [&](int64_t k) { return all[static_cast<size_t>(k)].score; };
  // Scores that are not numbers come last.
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return score(a) > score(b) || (std::isnan(score(b)) && !std::isnan(score(a)));
  });
  if (p.rpn_pre_nms_top_n > 0 && p.rpn_pre_nms_top_n < static_cast<int64_t>(order.size()))
    order.resize(static_cast<size_t>(p.rpn_pre_nms_top_n));
  std::vector<int64_t> kept;
  for (const int64_t k : order) {
    if (static_cast<int64_t>(kept.size()) == p.rpn_post_nms_top_n) break;
    const Box<C>& box = all[static_cast<size_t>(k)].box;
    const bool dropped = std::any_of(kept.begin(), kept.end(), [&](int64_t better) {
      return pixel_overlap(all[static_cast<size_t>(better)].box, box) > static_cast<C>(p.threshold);
    });
    if (!dropped) kept.push_back(k);
  }
  return kept;
}

template <class T>
void propose(const KernelCall& call) {
  using C = compute_type<T>;
  const auto& p = call.params<ProposalParams>();
  const Shape& map = call.in(0).shape();
  const int64_t cells = map[2] * map[3], A = p.anchors(), count = p.rpn_post_nms_top_n;
  const auto anchors = anchor_boxes<C>(p);
  const T *scores = call.in(0).data<T>(), *moves = call.in(1).data<T>();
  const T* info = call.in(2).data<T>();
  T *rois = call.out(0).data<T>(), *values = call.out(1).data<T>();
  parallel_for(map[0], 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      // Of the two scores of an anchor the second is for an object.
      const auto all = candidates_of<T>(p, anchors, scores + (2 * n + 1) * A * cells,
                                        moves + n * 4 * A * cells, info + 3 * n, map[2], map[3]);
      const auto kept = best_of(p, all);
      for (int64_t r = 0; r < count; ++r) {
        // When there are too few, they come again.
        const auto k = static_cast<size_t>(kept[static_cast<size_t>(r) % kept.size()]);
        const Box<C>& box = all[k].box;
        T* to = rois + (n * count + r) * 5;
        to[0] = static_cast<T>(static_cast<C>(n));
        to[1] = static_cast<T>(box.left);
        to[2] = static_cast<T>(box.top);
        to[3] = static_cast<T>(box.right);
        to[4] = static_cast<T>(box.bottom);
        values[n * count + r] = static_cast<T>(all[k].score);
      }
    }
  });
}

template <bool kOneImage>
void infer_proposal(InferCall& call) {
  const auto& p = call.params<ProposalParams>();
  call.expect_floating();
  call.expect_same_dtype();
  const Shape& scores = call.shape(0);
  const int64_t A = p.anchors();
  call.expect(A >= 1, "scales and ratios must not be empty");
  for (const double ratio : p.ratios) call.expect(ratio > 0, "ratios must be positive");
  call.expect(p.feature_stride >= 1, "feature_stride must be positive");
  call.expect(p.rpn_post_nms_top_n >= 0, "rpn_post_nms_top_n must not be negative");
  call.expect(scores.ndim() == 4 && scores[1] == 2 * A, "cls_prob must have shape (N, ", 2 * A,
              ", height, width), two scores for each of the ", A, " boxes around a cell");
  call.expect(!kOneImage || scores[0] == 1, "it accepts one image; MultiProposal accepts more");
  call.expect(scores[2] > 0 && scores[3] > 0, "cls_prob has no cells");
  const Shape moves = {scores[0], 4 * A, scores[2], scores[3]}, info = {scores[0], 3};
  call.expect(call.shape(1) == moves, "bbox_pred must have shape ", moves);
  call.expect(call.shape(2) == info, "im_info must have shape ", info,
              ": height, width and scale of each image");
  const int64_t count = scores[0] * p.rpn_post_nms_top_n;
  checked_size(Shape{count, 5}, call.name());
  call.output(0, Shape{count, 5}, call.dtype(0));
  call.output(1, Shape{count, 1}, call.dtype(0));
}

// The map must cover the image.
void check_extents(const CheckCall& call) {
  const auto& p = call.params<ProposalParams>();
  const Shape& scores = call.shape(0);
  dispatch<FloatingTypes>(call.dtype(2), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t k = 0; k < call.shape(2).size(); ++k) {
      if (k % 3 == 2) continue;
      const auto extent =
          static_cast<double>(static_cast<compute_type<T>>(call.input(2).data<T>()[k]));
      const int64_t cells = scores[static_cast<int>(2 + k % 3)];
      call.expect(extent < static_cast<double>((cells + 1) * p.feature_stride), "im_info[", k / 3,
                  ", ", k % 3, "] is ", extent, ", but the map covers ", cells * p.feature_stride,
                  " pixels");
    }
  });
}

void run_proposal(const KernelCall& call) {
  if (call.out().size() == 0) return;
  dispatch<FloatingTypes>(call.out().dtype(),
                          [&](auto tag) { propose<typename decltype(tag)::type>(call); });
}

size_t both_outputs(const Params*) { return 2; }
size_t visible_outputs(const Params* p) { return p->as<ProposalParams>().output_score ? 2 : 1; }

OP(_contrib_Proposal)
    .inputs("cls_prob", "bbox_pred", "im_info")
    .params<ProposalParams>()
    .outputs(both_outputs, visible_outputs)
    .infer(infer_proposal<true>)
    .check(check_extents)
    .kernel(run_proposal)
    .keep_inputs({Keep::kShape, Keep::kShape, Keep::kShape})
    .vjp(zero_gradient)
    .doc(
        "Regions (0, x1, y1, x2, y2) that may hold an object, best first: boxes around the cells "
        "of a map, moved by bbox_pred and ordered by the second half of cls_prob.")
    .example(R"(
>>> p = mx.nd.array([[[[0.8, 0.1]], [[0.2, 0.9]]]])  # background and object, in two cells
>>> move, info = mx.nd.zeros((1, 4, 1, 2)), mx.nd.array([[16, 32, 1]])
>>> options = dict(scales=(1,), ratios=(1,), rpn_min_size=1, rpn_post_nms_top_n=2)
>>> mx.nd.contrib.Proposal(p, move, info, **options).asnumpy().tolist()
[[0.0, 16.0, 0.0, 31.0, 15.0], [0.0, 0.0, 0.0, 15.0, 15.0]]
)");

OP(_contrib_MultiProposal)
    .inputs("cls_prob", "bbox_pred", "im_info")
    .params<ProposalParams>()
    .outputs(both_outputs, visible_outputs)
    .infer(infer_proposal<false>)
    .check(check_extents)
    .kernel(run_proposal)
    .keep_inputs({Keep::kShape, Keep::kShape, Keep::kShape})
    .vjp(zero_gradient)
    .doc("Proposal for several images, whose regions (image, x1, y1, x2, y2) follow each other.")
    .example(R"(
>>> p = mx.nd.array([[[[0.9]], [[0.1]]], [[[0.2]], [[0.8]]]])  # two images, one cell each
>>> move, info = mx.nd.zeros((2, 4, 1, 1)), mx.nd.array([[16, 16, 1], [16, 16, 1]])
>>> options = dict(scales=(1,), ratios=(1,), rpn_min_size=1, rpn_post_nms_top_n=1)
>>> mx.nd.contrib.MultiProposal(p, move, info, **options).asnumpy().tolist()
[[0.0, 0.0, 0.0, 15.0, 15.0], [1.0, 0.0, 0.0, 15.0, 15.0]]
)");

}  // namespace
}  // namespace mxtape
