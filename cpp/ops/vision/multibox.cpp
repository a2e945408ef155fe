#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "op/declare.h"
#include "ops/vision/boxes.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Single-shot detectors: anchors around the pixels of a feature map, the targets that train against
// labelled boxes, and detections from predictions.
namespace mxtape {
namespace {

constexpr char kVariancesDoc[] = "What the four offsets from an anchor are divided by.";

struct PriorParams {
  Floats sizes = {1};
  Floats ratios = {1};
  bool clip = false;
  Floats steps = {-1, -1};
  Floats offsets = {0.5, 0.5};
  template <class V>
  void visit(V& v) {
    v("sizes", sizes, "Sizes of the boxes, as parts of the image's height.");
    v("ratios", ratios,
      "Ratios of width to height. Sizes go with the first, ratios with the first size.");
    v("clip", clip, "Whether boxes are cut at the image's border.");
    v("steps", steps,
      "Distance of neighbours, vertical and horizontal; that of pixels when negative.");
    v("offsets", offsets, "Where in a pixel its boxes have their centre, vertical and horizontal.");
  }
};

struct TargetParams {
  double overlap_threshold = 0.5;
  double ignore_label = -1;
  double negative_mining_ratio = -1;
  double negative_mining_thresh = 0.5;
  int64_t minimum_negative_samples = 0;
  Floats variances = {0.1, 0.1, 0.2, 0.2};
  template <class V>
  void visit(V& v) {
    v("overlap_threshold", overlap_threshold,
      "An anchor that overlaps a labelled box by more belongs to that box.");
    v("ignore_label", ignore_label, "The class target of anchors that are left out.");
    v("negative_mining_ratio", negative_mining_ratio,
      "When positive: how many of the others, for each anchor with a box, are background, those "
      "that are predicted worst; the rest is left out.");
    v("negative_mining_thresh", negative_mining_thresh,
      "An anchor that overlaps a box by this or more is never mined as background.");
    v("minimum_negative_samples", minimum_negative_samples, "Accepted for compatibility.");
    v("variances", variances, kVariancesDoc);
  }
};

struct DetectionParams {
  bool clip = true;
  double threshold = 0.01f;
  int64_t background_id = 0;
  double nms_threshold = 0.5;
  bool force_suppress = false;
  Floats variances = {0.1, 0.1, 0.2, 0.2};
  int64_t nms_topk = -1;
  template <class V>
  void visit(V& v) {
    v("clip", clip, "Whether boxes are cut at the image's border.");
    v("threshold", threshold, "A detection needs a score of this.");
    v("background_id", background_id, "Accepted for compatibility: class 0 is the background.");
    v("nms_threshold", nms_threshold,
      "A box that overlaps a better one by this is dropped; outside (0, 1] none is.");
    v("force_suppress", force_suppress, "Whether boxes of different classes compete too.");
    v("variances", variances, kVariancesDoc);
    v("nms_topk", nms_topk, "When positive: how many of the best detections are looked at.");
  }
};

void expect_anchors(const InferCall& call, size_t i) {
  const Shape& s = call.shape(i);
  call.expect(s.ndim() == 3 && s[0] == 1 && s[2] == 4, "anchors must have shape (1, anchors, 4)");
}

OP(_contrib_MultiBoxPrior)
    .inputs("data")
    .params<PriorParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<PriorParams>();
      const Shape& in = call.shape(0);
      call.expect_floating();
      call.expect(in.ndim() == 4, "data must have shape (N, channels, height, width)");
      call.expect(!p.sizes.empty() && !p.ratios.empty(), "sizes and ratios must not be empty");
      call.expect(p.steps.size() == 2 && (p.steps[0] > 0) == (p.steps[1] > 0),
                  "steps must be two numbers of one sign");
      call.expect(p.offsets.size() == 2, "offsets must be two numbers");
      for (const double offset : p.offsets) {
        call.expect(offset >= 0 && offset <= 1, "offsets must be in [0, 1]");
      }
      const auto each = static_cast<int64_t>(p.sizes.size() + p.ratios.size() - 1);
      const Shape out = {1, in[2] * in[3] * each, 4};
      checked_size(out, call.name());
      call.output(0, out, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<PriorParams>();
      const int64_t H = call.in(0).shape()[2], W = call.in(0).shape()[3];
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = compute_type<T>;
        // Half of each box's width and height: every size, then the other ratios.
        std::vector<std::array<C, 2>> halves;
        const C aspect = static_cast<C>(H) / static_cast<C>(W);
        const auto add = [&](double size, double ratio) {
          const C root = std::sqrt(static_cast<C>(ratio)), s = static_cast<C>(size);
          halves.push_back({s * aspect * root / 2, s / root / 2});
        };
        for (const double size : p.sizes) add(size, p.ratios[0]);
        for (size_t k = 1; k < p.ratios.size(); ++k) add(p.sizes[0], p.ratios[k]);
        const C dy = static_cast<C>(p.steps[0] > 0 ? p.steps[0] : 1.0 / static_cast<double>(H));
        const C dx = static_cast<C>(p.steps[1] > 0 ? p.steps[1] : 1.0 / static_cast<double>(W));
        T* to = call.out().data<T>();
        parallel_for(H, 64, [&](int64_t begin, int64_t end) {
          T* box = to + begin * W * static_cast<int64_t>(halves.size()) * 4;
          for (int64_t i = begin; i < end; ++i) {
            const C y = (static_cast<C>(i) + static_cast<C>(p.offsets[0])) * dy;
            for (int64_t j = 0; j < W; ++j) {
              const C x = (static_cast<C>(j) + static_cast<C>(p.offsets[1])) * dx;
              for (const auto& [w, h] : halves) {
                for (const C side : {x - w, y - h, x + w, y + h}) {
                  *box++ = static_cast<T>(p.clip ? std::clamp(side, C(0), C(1)) : side);
                }
              }
            }
          }
        });
      });
    })
    .zero_grad()
    .doc(
        "Boxes of some sizes and ratios around every pixel of data, (1, height * width * boxes, "
        "4), as corners in parts of the image.")
    .example(R"(
>>> map_ = mx.nd.zeros((1, 3, 1, 1))  # one pixel that stands for the whole image
>>> mx.nd.contrib.MultiBoxPrior(map_, sizes=(0.5, 1), ratios=(1, 4)).asnumpy().tolist()
[[[0.25, 0.25, 0.75, 0.75], [0.0, 0.0, 1.0, 1.0], [0.0, 0.375, 1.0, 0.625]]]
)");

// ---- targets

// What an anchor is for one image: of a labelled box, background, or left out.
constexpr int64_t kBackground = -1, kIgnored = -2;

// Which labelled box each anchor is of.
template <class T>
class Assignment {
  using C = compute_type<T>;

 public:
  Assignment(const TargetParams& p, const std::vector<Box<C>>& anchors,
             const std::vector<Box<C>>& labels)
      : p_(p),
        overlaps_(anchors.size() * labels.size()),
        best_(anchors.size(), 0),
        box(anchors.size(), kIgnored),
        labels_(labels.size()) {
    for (size_t a = 0; a < anchors.size(); ++a) {
      C* row = overlaps_.data() + a * labels_;
      for (size_t g = 0; g < labels_; ++g) row[g] = overlap(anchors[a], labels[g]);
      best_[a] = static_cast<size_t>(std::max_element(row, row + labels_) - row);
    }
  }

  void give_best_anchors() {
    // Every label gets an anchor, best pair first.
    std::vector<size_t> pairs;
    for (size_t k = 0; k < overlaps_.size(); ++k) {
      if (overlaps_[k] > C(1e-6)) pairs.push_back(k);
    }
    std::stable_sort(pairs.begin(), pairs.end(),
                     [&](size_t x, size_t y) { return overlaps_[x] > overlaps_[y]; });
    std::vector<char> taken(labels_, 0);
    for (const size_t k : pairs) {
      const size_t a = k / labels_, g = k % labels_;
      if (box[a] >= 0 || taken[g]) continue;
      box[a] = static_cast<int64_t>(g);
      taken[g] = 1;
    }
  }

  void give_overlapping_anchors() {
    if (!(p_.overlap_threshold > 0)) return;
    for (size_t a = 0; a < box.size(); ++a) {
      if (box[a] < 0 && best_overlap(a) > static_cast<C>(p_.overlap_threshold)) {
        box[a] = static_cast<int64_t>(best_[a]);
      }
    }
  }

  // `scores` are the classes' predictions for an anchor, `stride` apart; class 0 is background.
  void choose_background(const T* scores, int64_t classes, int64_t stride) {
    if (!(p_.negative_mining_ratio > 0)) {
      std::replace(box.begin(), box.end(), kIgnored, kBackground);
      return;
    }
    const auto taken = std::count_if(box.begin(), box.end(), [](int64_t g) { return g >= 0; });
    const double wanted = std::floor(static_cast<double>(taken) * p_.negative_mining_ratio);
    std::vector<std::pair<C, size_t>> candidates;  // and the probability of background
    for (size_t a = 0; a < box.size(); ++a) {
      if (box[a] >= 0 || best_overlap(a) >= static_cast<C>(p_.negative_mining_thresh)) continue;
      const T* score = scores + a;
      C largest = static_cast<C>(score[0]), total = 0;
      for (int64_t c = 1; c < classes; ++c) {
        largest = std::max(largest, static_cast<C>(score[c * stride]));
      }
      for (int64_t c = 0; c < classes; ++c) {
        total += std::exp(static_cast<C>(score[c * stride]) - largest);
      }
      const C background = std::exp(static_cast<C>(score[0]) - largest) / total;
      // What is not a number comes last, so that there is an order.
      candidates.push_back({std::isnan(background) ? C(2) : background, a});
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const auto& x, const auto& y) { return x.first < y.first; });
    for (size_t k = 0; k < candidates.size() && static_cast<double>(k) < wanted; ++k) {
      box[candidates[k].second] = kBackground;
    }
  }

 private:
  C best_overlap(size_t anchor) const { return overlaps_[anchor * labels_ + best_[anchor]]; }

  const TargetParams& p_;
  std::vector<C> overlaps_;   // of anchor and label
  std::vector<size_t> best_;  // label of each anchor

 public:
  std::vector<int64_t> box;  // of each anchor: a label, kBackground or kIgnored

 private:
  size_t labels_;
};

template <class T>
void find_targets(const KernelCall& call) {
  using C = compute_type<T>;
  const auto& p = call.params<TargetParams>();
  const NDArray &anchor_array = call.in(0), &label = call.in(1), &predictions = call.in(2);
  const int64_t n = anchor_array.shape()[1], classes = predictions.shape()[1];
  const int64_t rows = label.shape()[1], width = label.shape()[2];
  const T *anchor_data = anchor_array.data<T>(), *label_data = label.data<T>();
  T *offsets = call.out(0).data<T>(), *masks = call.out(1).data<T>(),
    *targets = call.out(2).data<T>();
  std::vector<Box<C>> anchors;
  for (int64_t a = 0; a < n; ++a) anchors.push_back(Box<C>::read(anchor_data + 4 * a));
  C variances[4];
  for (size_t i = 0; i < 4; ++i) variances[i] = static_cast<C>(p.variances[i]);
  parallel_for(label.shape()[0], 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      T *offset = offsets + b * n * 4, *mask = masks + b * n * 4, *target = targets + b * n;
      std::fill(offset, offset + 4 * n, T(0));
      std::fill(mask, mask + 4 * n, T(0));
      std::fill(target, target + n, convert_value<T>(p.ignore_label));
      const T* first = label_data + b * rows * width;
      std::vector<Box<C>> labels;
      while (static_cast<int64_t>(labels.size()) < rows) {
        const T* row = first + static_cast<int64_t>(labels.size()) * width;
        if (static_cast<C>(row[0]) == -1) break;
        labels.push_back(Box<C>::read(row + 1));
      }
      if (labels.empty() || n == 0) continue;
      Assignment<T> assignment(p, anchors, labels);
      assignment.give_best_anchors();
      assignment.give_overlapping_anchors();
      assignment.choose_background(predictions.data<T>() + b * classes * n, classes, n);
      for (int64_t a = 0; a < n; ++a) {
        const int64_t g = assignment.box[static_cast<size_t>(a)];
        if (g == kBackground) target[a] = T(0);
        if (g < 0) continue;
        target[a] = static_cast<T>(static_cast<C>(first[g * width]) + 1);
        const Box<C>&anchor = anchors[static_cast<size_t>(a)],
              &box = labels[static_cast<size_t>(g)];
        const C values[] = {
            (box.x() - anchor.x()) / anchor.width(), (box.y() - anchor.y()) / anchor.height(),
            std::log(box.width() / anchor.width()), std::log(box.height() / anchor.height())};
        for (int i = 0; i < 4; ++i) {
          offset[4 * a + i] = static_cast<T>(values[i] / variances[i]);
          mask[4 * a + i] = convert_value<T>(1);
        }
      }
    }
  });
}

OP(_contrib_MultiBoxTarget)
    .inputs("anchor", "label", "cls_pred")
    .params<TargetParams>()
    .outputs(3)
    .infer([](InferCall& call) {
      const auto& p = call.params<TargetParams>();
      const Shape &anchor = call.shape(0), &label = call.shape(1), &predictions = call.shape(2);
      call.expect_floating();
      call.expect_same_dtype();
      expect_anchors(call, 0);
      call.expect(label.ndim() == 3 && label[2] >= 5,
                  "label must have shape (N, boxes, 5 or more): class, corners");
      call.expect(predictions.ndim() == 3 && predictions[0] == label[0] && predictions[1] > 0 &&
                      predictions[2] == anchor[1],
                  "cls_pred must have shape (N, classes, anchors)");
      call.expect(p.variances.size() == 4, "variances must be four numbers");
      call.output(0, Shape{label[0], anchor[1] * 4}, call.dtype(0));
      call.output(1, Shape{label[0], anchor[1] * 4}, call.dtype(0));
      call.output(2, Shape{label[0], anchor[1]}, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.in(0).dtype(),
                              [&](auto tag) { find_targets<typename decltype(tag)::type>(call); });
    })
    .zero_grad()
    .keep_inputs({Keep::kShape, Keep::kShape, Keep::kShape})
    .doc(
        "What the predictions for every anchor should be: offsets to the labelled box that it is "
        "of, (N, anchors * 4), a mask of those, and classes, (N, anchors), where 0 is background. "
        "The labels of an image end with its first class -1.")
    .example(R"(
>>> anchors = mx.nd.array([[[0, 0, 0.5, 1], [0.5, 0, 1, 1]]])
>>> label = mx.nd.array([[[0, 0.6, 0, 1, 1]]])  # an object of class 0, in the right half
>>> target = mx.nd.contrib.MultiBoxTarget(anchors, label, mx.nd.zeros((1, 2, 2)))
>>> offsets, mask, classes = (x.asnumpy() for x in target)
>>> print(offsets[0, 4:].round(2), mask, classes)
[ 1.    0.   -1.12  0.  ] [[0. 0. 0. 0. 1. 1. 1. 1.]] [[0. 1.]]
)");

// ---- detections

template <class C>
struct Detection {
  C id, score;
  Box<C> box;
};

// An anchor moved by the four numbers that were predicted for it.
template <class T, class C>
Box<C> moved_box(const T* anchor, const T* offset, const DetectionParams& p) {
  const auto from = Box<C>::read(anchor);
  C o[4];
  for (size_t i = 0; i < 4; ++i) o[i] = static_cast<C>(offset[i]) * static_cast<C>(p.variances[i]);
  const C x = o[0] * from.width() + from.x(), y = o[1] * from.height() + from.y();
  const C w = std::exp(o[2]) * from.width() / 2, h = std::exp(o[3]) * from.height() / 2;
  Box<C> box{x - w, y - h, x + w, y + h};
  if (p.clip) {
    for (C* side : {&box.left, &box.top, &box.right, &box.bottom}) {
      *side = std::clamp(*side, C(0), C(1));
    }
  }
  return box;
}

// The best class of each of n anchors, where it is not background and likely enough.
template <class T, class C>
void find_detections(const T* score, const T* offset, const T* anchors, int64_t classes, int64_t n,
                     const DetectionParams& p, std::vector<Detection<C>>& found) {
  found.clear();
  for (int64_t a = 0; a < n; ++a) {
    C best = -1;
    int64_t id = 0;
    for (int64_t c = 1; c < classes; ++c) {
      const C x = static_cast<C>(score[c * n + a]);
      if (x > best) {
        best = x;
        id = c;
      }
    }
    if (id == 0 || best < static_cast<C>(p.threshold)) continue;
    found.push_back(
        {static_cast<C>(id - 1), best, moved_box<T, C>(anchors + 4 * a, offset + 4 * a, p)});
  }
}

// Brings the best to the front, and takes the class of those that overlap a better one.
template <class C>
void suppress(std::vector<Detection<C>>& found, const DetectionParams& p) {
  std::vector<Detection<C>> sorted = found;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& x, const auto& y) { return x.score > y.score; });
  size_t count = sorted.size();
  if (p.nms_topk > 0) count = std::min(count, static_cast<size_t>(p.nms_topk));
  // Rows past the best ones stay as they were found, without a class.
  std::copy_n(sorted.begin(), count, found.begin());
  for (size_t k = count; k < found.size(); ++k) found[k].id = -1;
  for (size_t k = 0; k < count; ++k) {
    if (found[k].id < 0) continue;
    for (size_t l = k + 1; l < count; ++l) {
      if (found[l].id < 0 || (!p.force_suppress && found[l].id != found[k].id)) continue;
      if (overlap(found[k].box, found[l].box) >= static_cast<C>(p.nms_threshold)) found[l].id = -1;
    }
  }
}

template <class T>
void detect(const KernelCall& call) {
  using C = compute_type<T>;
  const auto& p = call.params<DetectionParams>();
  const NDArray &scores = call.in(0), &offsets = call.in(1);
  const int64_t classes = scores.shape()[1], n = scores.shape()[2];
  parallel_for(scores.shape()[0], 1, [&](int64_t begin, int64_t end) {
    std::vector<Detection<C>> found;
    for (int64_t b = begin; b < end; ++b) {
      find_detections(scores.data<T>() + b * classes * n, offsets.data<T>() + b * n * 4,
                      call.in(2).data<T>(), classes, n, p, found);
      if (p.nms_threshold > 0 && p.nms_threshold <= 1) suppress(found, p);
      T* to = call.out().data<T>() + b * n * 6;
      std::fill(to, to + n * 6, convert_value<T>(-1));
      for (const auto& [id, best, box] : found) {
        for (const C x : {id, best, box.left, box.top, box.right, box.bottom}) {
          *to++ = static_cast<T>(x);
        }
      }
    }
  });
}

OP(_contrib_MultiBoxDetection)
    .inputs("cls_prob", "loc_pred", "anchor")
    .params<DetectionParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<DetectionParams>();
      const Shape &scores = call.shape(0), &offsets = call.shape(1), &anchor = call.shape(2);
      call.expect_floating();
      call.expect_same_dtype();
      call.expect(scores.ndim() == 3, "cls_prob must have shape (N, classes, anchors)");
      expect_anchors(call, 2);
      call.expect(anchor[1] == scores[2] && offsets == Shape({scores[0], 4 * scores[2]}),
                  "loc_pred must have shape (N, anchors * 4) and anchor (1, anchors, 4)");
      call.expect(p.variances.size() == 4, "variances must be four numbers");
      call.output(0, Shape{scores[0], scores[2], 6}, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.in(0).dtype(),
                              [&](auto tag) { detect<typename decltype(tag)::type>(call); });
    })
    .zero_grad()
    .keep_inputs({Keep::kShape, Keep::kShape, Keep::kShape})
    .doc(
        "Detections from predictions for anchors, (N, anchors, 6): rows (class, score, corners), "
        "best first. A class of -1 marks a box that a better one suppressed; rows of -1 follow.")
    .example(R"(
>>> anchors = mx.nd.array([[[0, 0, 0.5, 1], [0.5, 0, 1, 1]]])
>>> p = mx.nd.array([[[0.25, 0.5], [0.75, 0.5]]])  # of background and class 0, per anchor
>>> boxes = mx.nd.contrib.MultiBoxDetection(p, mx.nd.zeros((1, 8)), anchors)
>>> boxes[0].asnumpy().tolist()
[[0.0, 0.75, 0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 0.5, 0.0, 1.0, 1.0]]
)");

}  // namespace
}  // namespace mxtape
