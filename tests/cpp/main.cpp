#include <gtest/gtest.h>

#include "op/registry.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  mxtape::Registry::get().finish();
  return RUN_ALL_TESTS();
}
