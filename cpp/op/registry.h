#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "op/schema.h"

namespace mxtape {

// The operators that a binary function of arrays and numbers is made of: of two arrays, that
// broadcast; of an array and a number; of a number and an array.
struct BinaryForms {
  const OpSchema *arrays = nullptr, *scalar = nullptr, *reversed = nullptr;
};

// Every operator under its name and its aliases, and the binary functions under theirs.
class Registry {
 public:
  // The one in which OP declares.
  static Registry& get();

  Registry();
  ~Registry();

  OpSchema& add(std::string_view name);
  // The binary function `name` is made of the operators of these names.
  void add_binary(std::string_view name, std::string_view arrays, std::string_view scalar,
                  std::string_view reversed);
  // How the operator of this name runs over a batch.
  void add_batch_rule(std::string_view name, BatchFn rule);
  // A way in which it runs with sparse arrays; the row must stay where it is.
  void add_sparse_row(std::string_view name, const SparseRow* row);
  // nullptr when there is no such operator.
  const OpSchema* find(std::string_view name) const;
  // In order of name, aliases not repeated.
  std::vector<const OpSchema*> all() const;
  const BinaryForms* find_binary(std::string_view name) const;
  std::vector<std::string> binary_names() const;
  // Checks that every declaration is whole and indexes the names; an Error names the first that is
  // not, and nothing is found then.
  void finish();

 private:
  struct Index;
  std::unique_ptr<Index> index_;
};

// The operator called `name`; an Error when there is none.
const OpSchema& find_op(std::string_view name);
// The same of the binary function called `name`: "add".
const BinaryForms& find_binary(std::string_view name);

}  // namespace mxtape
