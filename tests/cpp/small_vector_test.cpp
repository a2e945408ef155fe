#include "core/small_vector.h"

#include <cstdint>
#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace mxtape {
namespace {

struct Counted {
  static inline int alive = 0;
  int value = 0;
  explicit Counted(int v = 0) : value(v) { ++alive; }
  Counted(const Counted& other) : value(other.value) { ++alive; }
  Counted(Counted&& other) noexcept : value(other.value) {
    other.value = -1;
    ++alive;
  }
  ~Counted() { --alive; }
};

// Whether the elements lie in the vector itself.
template <class V>
bool is_inline(const V& v) {
  const auto at = reinterpret_cast<uintptr_t>(v.data()), self = reinterpret_cast<uintptr_t>(&v);
  return at >= self && at < self + sizeof(V);
}

TEST(SmallVector, GrowsFromInPlaceToTheHeap) {
  SmallVector<std::string, 3> v;
  EXPECT_TRUE(v.empty());
  for (size_t i = 0; i < 100; ++i) {
    v.push_back(std::string(50, static_cast<char>('a' + i % 26)));
    EXPECT_EQ(v.size(), i + 1);
    EXPECT_EQ(is_inline(v), i < 3);
    for (size_t k = 0; k <= i; ++k) {
      ASSERT_EQ(v[k], std::string(50, static_cast<char>('a' + k % 26)));
    }
    EXPECT_EQ(&v.back(), &v[i]);
  }
}

TEST(SmallVector, EveryElementIsDestroyedOnce) {
  for (size_t n : {0, 1, 4, 5, 33}) {
    {
      SmallVector<Counted, 4> v;
      for (size_t i = 0; i < n; ++i) v.emplace_back(static_cast<int>(i));
      EXPECT_EQ(Counted::alive, static_cast<int>(n));
      for (size_t i = 0; i < n; ++i) EXPECT_EQ(v[i].value, static_cast<int>(i));
    }
    EXPECT_EQ(Counted::alive, 0);
  }
}

TEST(SmallVector, ResizesBothWays) {
  SmallVector<Counted, 2> v(5);
  EXPECT_EQ(v.size(), 5u);
  EXPECT_EQ(Counted::alive, 5);
  for (const Counted& c : v) EXPECT_EQ(c.value, 0);
  v[1].value = 7;
  v.resize(2);
  EXPECT_EQ(Counted::alive, 2);
  v.resize(9);
  EXPECT_EQ(Counted::alive, 9);
  EXPECT_EQ(v[1].value, 7);
  EXPECT_EQ(v[8].value, 0);
  v.clear();
  EXPECT_TRUE(v.empty());
  EXPECT_EQ(Counted::alive, 0);
}

TEST(SmallVector, TakesItsOwnElements) {
  SmallVector<std::string, 2> v;
  v.push_back(std::string(40, 'x'));
  for (int i = 0; i < 20; ++i) v.push_back(v[0]);
  for (const std::string& s : v) EXPECT_EQ(s, std::string(40, 'x'));
}

TEST(SmallVector, EmplacesFromItsOwnElements) {
  SmallVector<std::string, 2> v;
  v.emplace_back(40, 'x');
  for (int i = 0; i < 20; ++i) v.emplace_back(v[0]);
  for (const std::string& s : v) EXPECT_EQ(s, std::string(40, 'x'));
}

TEST(SmallVector, HoldsWhatOnlyMoves) {
  SmallVector<std::unique_ptr<int>, 1> v;
  for (int i = 0; i < 10; ++i) v.push_back(std::make_unique<int>(i));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(*v[static_cast<size_t>(i)], i);
}

TEST(SmallVector, KeepsAlignment) {
  struct alignas(64) Wide {
    char bytes[64];
  };
  SmallVector<Wide, 1> v;
  for (int i = 0; i < 5; ++i) {
    v.emplace_back();
    for (const Wide& w : v) EXPECT_EQ(reinterpret_cast<uintptr_t>(&w) % 64, 0u);
  }
}

TEST(SmallVector, IsASpan) {
  SmallVector<int, 2> v;
  for (int i = 0; i < 5; ++i) v.push_back(i);
  std::span<int> span = v;
  span[4] = 40;
  const SmallVector<int, 2>& constant = v;
  const std::span<const int> view = constant;
  EXPECT_EQ(view.size(), 5u);
  EXPECT_EQ(view[4], 40);
  EXPECT_EQ(constant.end() - constant.begin(), 5);
}

}  // namespace
}  // namespace mxtape
