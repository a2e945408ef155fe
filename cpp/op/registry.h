#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "op/schema.h"

namespace mxtape {

// Every operator under its name and its aliases.
class Registry {
 public:
  // The one in which OP declares.
  static Registry& get();

  Registry();
  ~Registry();

  OpSchema& add(std::string_view name);
  // nullptr when there is no such operator.
  const OpSchema* find(std::string_view name) const;
  // In order of name, aliases not repeated.
  std::vector<const OpSchema*> all() const;
  // Checks that every declaration is whole and indexes the names; an Error names the first that is
  // not, and nothing is found then.
  void finish();

 private:
  struct Index;
  std::unique_ptr<Index> index_;
};

// The operator called `name`; an Error when there is none.
const OpSchema& find_op(std::string_view name);

}  // namespace mxtape
