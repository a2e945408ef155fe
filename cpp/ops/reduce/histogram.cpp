#include <algorithm>
#include <cmath>
#include <vector>

#include "op/declare.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// How many elements lie between which bounds.
namespace mxtape {
namespace {

struct HistogramParams {
  std::optional<int64_t> bin_cnt;
  Floats range;
  template <class V>
  void visit(V& v) {
    v("bin_cnt", bin_cnt, "Number of bins of one width; None for the bounds in bins.");
    v("range", range, "With bin_cnt: the lower end of the first bin and the upper of the last.");
  }
};

// The bounds as numbers, as the output's dtype rounds them.
std::vector<double> bounds_of(const NDArray& bounds) {
  std::vector<double> values(static_cast<size_t>(bounds.size()));
  convert(bounds.dtype(), bounds.bytes(), DType::kFloat64, values.data(), bounds.size());
  return values;
}

void write_bounds(const HistogramParams& p, const NDArray& out) {
  double low = p.range[0], high = p.range[1];
  if (low == high) {
    low -= 0.5;
    high += 0.5;
  }
  const auto bins = static_cast<double>(*p.bin_cnt);
  std::vector<double> values(static_cast<size_t>(out.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = low + (high - low) * static_cast<double>(i) / bins;
  }
  values.back() = high;
  convert(DType::kFloat64, values.data(), out.dtype(), out.bytes(), out.size());
}

constexpr int64_t kPiece = 1 << 16;

// Bin i has the elements from bound i on and below bound i + 1, the last one its upper bound too.
template <class T>
void count(const NDArray& data, const std::vector<double>& bounds, int64_t* counts) {
  const auto bins = static_cast<int64_t>(bounds.size()) - 1;
  const double low = bounds.front(), high = bounds.back();
  const double scale = high > low ? static_cast<double>(bins) / (high - low) : 0;
  // Where bins are about as wide as each other, an element's place is a guess and a step.
  const int64_t pieces = (data.size() + kPiece - 1) / kPiece;
  const bool apart = pieces > 1 && bins <= kPiece / 4;
  std::vector<int64_t> part(static_cast<size_t>(apart ? pieces * bins : bins));
  const auto run = [&](int64_t begin, int64_t end, int64_t* to) {
    const T* x = data.data<T>();
    for (int64_t i = begin; i < end; ++i) {
      const auto value = static_cast<double>(static_cast<compute_type<T>>(x[i]));
      if (!(value >= low && value <= high)) continue;
      const double guess = (value - low) * scale;
      int64_t bin = guess < static_cast<double>(bins) ? static_cast<int64_t>(guess) : bins - 1;
      if (!(value >= bounds[static_cast<size_t>(bin)] &&
            value < bounds[static_cast<size_t>(bin) + 1])) {
        bin = std::upper_bound(bounds.begin(), bounds.end(), value) - bounds.begin() - 1;
      }
      ++to[std::min(bin, bins - 1)];
    }
  };
  if (!apart) {
    run(0, data.size(), part.data());
  } else {
    parallel_for(pieces, 1, [&](int64_t first, int64_t last) {
      for (int64_t piece = first; piece < last; ++piece) {
        run(piece * kPiece, std::min((piece + 1) * kPiece, data.size()),
            part.data() + piece * bins);
      }
    });
  }
  std::fill(counts, counts + bins, 0);
  for (size_t i = 0; i < part.size(); ++i) counts[i % static_cast<size_t>(bins)] += part[i];
}

OP(_histogram)
    .inputs("data", "bins")
    .optional_inputs(1,
                     [](const Params* p) -> uint32_t {
                       return p->as<HistogramParams>().bin_cnt ? 1 : 3;
                     })
    .params<HistogramParams>()
    .outputs(2)
    .infer([](InferCall& call) {
      const auto& p = call.params<HistogramParams>();
      call.expect(call.dtype(0) != DType::kBool, "boolean arrays are not supported; use astype()");
      if (p.bin_cnt) {
        constexpr int64_t kLimit = int64_t{1} << 40;
        call.expect(*p.bin_cnt > 0 && *p.bin_cnt < kLimit, "bin_cnt must be positive");
        call.expect(p.range.size() == 2, "range must be two numbers with bin_cnt");
        call.expect(p.range[0] <= p.range[1] && std::isfinite(p.range[1] - p.range[0]),
                    "range must be two finite numbers, the larger one last");
        call.output(0, {*p.bin_cnt}, DType::kInt64);
        return call.output(1, {*p.bin_cnt + 1}, call.dtype(0));
      }
      const Shape& bins = call.shape(1);
      call.expect(bins.ndim() == 1 && bins[0] >= 2, "bins must be a vector of at least two bounds");
      call.expect(call.dtype(0) == call.dtype(1), "data and bins must have one dtype");
      call.output(0, {bins[0] - 1}, DType::kInt64);
      call.output(1, bins, call.dtype(0));
    })
    .check([](const CheckCall& call) {
      if (call.input_count() == 1) return;
      const std::vector<double> bounds = bounds_of(call.input(1));
      for (size_t i = 1; i < bounds.size(); ++i) {
        call.expect(bounds[i - 1] <= bounds[i], "bins must increase");
      }
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<HistogramParams>();
      const NDArray &data = call.in(0), &bounds = call.out(1);
      if (p.bin_cnt) {
        write_bounds(p, bounds);
      } else {
        convert(bounds.dtype(), call.in(1).bytes(), bounds.dtype(), bounds.bytes(), bounds.size());
      }
      dispatch(data.dtype(), [&](auto tag) {
        count<typename decltype(tag)::type>(data, bounds_of(bounds), call.out(0).data<int64_t>());
      });
    })
    .no_grad("counts do not change with small changes of the data")
    .doc(
        "How many elements lie between each two neighbouring bounds, and the bounds. The last "
        "bound belongs to the last bin; what is outside, and NaN, is not counted.");

}  // namespace
}  // namespace mxtape
