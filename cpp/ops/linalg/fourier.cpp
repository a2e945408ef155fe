#include <cmath>
#include <complex>

#include "op/declare.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Discrete Fourier transforms along the last axis, not normalised; complex numbers lie as pairs.
// The forward transform of real numbers and the real part of the backward one are each other's
// adjoints.
namespace mxtape {
namespace {

using Complex = std::complex<double>;
using Line = std::vector<Complex>;

// exp(2 pi i k / n) for k in [0, count).
Line roots(int64_t n, int64_t count) {
  Line w(static_cast<size_t>(count));
  for (int64_t k = 0; k < count; ++k) {
    w[static_cast<size_t>(k)] =
        std::polar(1.0, 2 * M_PI * static_cast<double>(k) / static_cast<double>(n));
  }
  return w;
}

Complex product(Complex a, Complex b) {  // without the checks for infinity of operator*
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

// sum over j of x[j] exp(sign 2 pi i j k / n), in place, for a power of two.
class PowerOfTwo {
 public:
  explicit PowerOfTwo(int64_t n) : n_(n), roots_(roots(n, n / 2)) {}

  void run(Complex* x, int sign) const {
    for (int64_t i = 1, j = 0; i < n_; ++i) {
      int64_t bit = n_ >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) std::swap(x[i], x[j]);
    }
    for (int64_t half = 1; half < n_; half *= 2) {
      const int64_t step = n_ / (2 * half);
      for (int64_t start = 0; start < n_; start += 2 * half) {
        for (int64_t k = 0; k < half; ++k) {
          const Complex root = roots_[static_cast<size_t>(k * step)];
          const Complex moved = product(x[start + half + k], sign > 0 ? root : std::conj(root));
          x[start + half + k] = x[start + k] - moved;
          x[start + k] += moved;
        }
      }
    }
  }

 private:
  int64_t n_;
  Line roots_;
};

// Any length, by Bluestein's convolution with a chirp ("A linear filtering approach to the
// computation of discrete Fourier transform", 1970).
class Transform {
 public:
  Transform(int64_t n, int sign) : n_(n), sign_(sign), size_(padded(n)), inner_(size_) {
    if (size_ == n) return;
    chirp_.resize(static_cast<size_t>(n));
    filter_.assign(static_cast<size_t>(size_), 0);
    for (int64_t k = 0; k < n; ++k) {
      // k * k modulo 2 n, so that the angle stays small.
      const auto angle = static_cast<double>(static_cast<uint64_t>(k) * static_cast<uint64_t>(k) %
                                             static_cast<uint64_t>(2 * n));
      const Complex w = std::polar(1.0, sign * M_PI * angle / static_cast<double>(n));
      chirp_[static_cast<size_t>(k)] = w;
      filter_[static_cast<size_t>(k)] = std::conj(w);
      if (k) filter_[static_cast<size_t>(size_ - k)] = std::conj(w);
    }
    inner_.run(filter_.data(), 1);
  }

  int64_t work_size() const { return size_; }

  // `x` holds n numbers and has room for work_size().
  void run(Complex* x) const {
    if (size_ == n_) return inner_.run(x, sign_);
    for (int64_t k = 0; k < n_; ++k) x[k] = product(x[k], chirp_[static_cast<size_t>(k)]);
    std::fill(x + n_, x + size_, Complex(0));
    inner_.run(x, 1);
    for (int64_t k = 0; k < size_; ++k) x[k] = product(x[k], filter_[static_cast<size_t>(k)]);
    inner_.run(x, -1);
    for (int64_t k = 0; k < n_; ++k) {
      x[k] = product(x[k], chirp_[static_cast<size_t>(k)]) / static_cast<double>(size_);
    }
  }

 private:
  static int64_t padded(int64_t n) {
    int64_t size = 1;
    while (size < n) size *= 2;
    if (size == n) return n;
    return size < 2 * n - 1 ? 2 * size : size;
  }

  int64_t n_;
  int sign_;
  int64_t size_;
  PowerOfTwo inner_;
  Line chirp_, filter_;
};

struct FourierParams {
  int64_t compute_size = 128;
  template <class V>
  void visit(V& v) {
    v("compute_size", compute_size, "Accepted for compatibility.");
  }
};
const fn::Op<FourierParams> fft{"_contrib_fft"}, ifft{"_contrib_ifft"};

// Forward: real numbers to pairs. Backward: pairs to the real parts.
template <bool kForward>
void run_transform(const KernelCall& call) {
  const NDArray &in = call.in(0), &out = call.out();
  if (out.size() == 0) return;
  const int64_t from = in.shape()[in.ndim() - 1], to = out.shape()[out.ndim() - 1];
  const int64_t n = kForward ? from : to;
  const Transform transform(n, kForward ? -1 : 1);
  const auto item = static_cast<int64_t>(item_size(in.dtype()));
  const int64_t grain = std::max<int64_t>(1, 4096 / n);
  parallel_for(in.size() / from, grain, [&](int64_t begin, int64_t end) {
    Line line(static_cast<size_t>(transform.work_size()));
    std::vector<double> numbers(static_cast<size_t>(2 * n));
    for (int64_t row = begin; row < end; ++row) {
      convert(in.dtype(), in.bytes() + row * from * item, DType::kFloat64, numbers.data(), from);
      for (int64_t k = 0; k < n; ++k) {
        const auto at = static_cast<size_t>(k);
        line[at] = kForward ? Complex(numbers[at]) : Complex(numbers[2 * at], numbers[2 * at + 1]);
      }
      transform.run(line.data());
      for (int64_t k = 0; k < n; ++k) {
        const auto at = static_cast<size_t>(k);
        if (kForward) {
          numbers[2 * at] = line[at].real();
          numbers[2 * at + 1] = line[at].imag();
        } else {
          numbers[at] = line[at].real();
        }
      }
      convert(DType::kFloat64, numbers.data(), out.dtype(), out.bytes() + row * to * item, to);
    }
  });
}

template <bool kForward>
void infer_transform(InferCall& call) {
  call.expect_floating();
  const Shape& data = call.shape(0);
  call.expect(data.ndim() > 0, "data must have an axis");
  const int last = data.ndim() - 1;
  call.expect(kForward || data[last] % 2 == 0,
              "the last axis must hold pairs: its extent must be even");
  Shape shape = data;
  shape[last] = kForward ? data[last] * 2 : data[last] / 2;
  call.output(0, shape, call.dtype(0));
}

OP(_contrib_fft)
    .inputs("data")
    .params<FourierParams>()
    .infer(infer_transform<true>)
    .kernel(run_transform<true>)
    .vjp([](Vjp& v) { v.grad(0, ifft(v.head(), v.params<FourierParams>())); })
    .doc(
        "The discrete Fourier transform of real numbers along the last axis, which becomes twice "
        "as long: real and imaginary parts take turns.")
    .example(R"(
>>> y = mx.nd.contrib.fft(mx.nd.array([[1, 2, 3, 4]]))  # 10, -2 + 2i, -2, -2 - 2i
>>> print(y.asnumpy().round(4) + 0)  # + 0: no -0
[[10.  0. -2.  2. -2.  0. -2. -2.]]
)");

OP(_contrib_ifft)
    .inputs("data")
    .params<FourierParams>()
    .infer(infer_transform<false>)
    .kernel(run_transform<false>)
    .vjp([](Vjp& v) { v.grad(0, fft(v.head(), v.params<FourierParams>())); })
    .doc(
        "The real part of the backward discrete Fourier transform along the last axis, whose real "
        "and imaginary parts take turns; not divided by the number of elements.")
    .example(R"(
>>> y = mx.nd.contrib.fft(mx.nd.array([[1, 2, 3, 4]]))
>>> print((mx.nd.contrib.ifft(y) / 4).asnumpy().round(4))
[[1. 2. 3. 4.]]
)");

}  // namespace
}  // namespace mxtape
