#include "python/profile.h"

#include <pybind11/stl.h>

#include <unordered_map>

#include "core/profile.h"
#include "op/registry.h"
#include "runtime/kernel_names.h"

namespace py = pybind11;

// What mx.profiler reads of what the engine has recorded.
namespace mxtape::python {
namespace {

using profile::Kind;

const std::string& name_of_kernel(TileKernel kernel) {
  static const auto* const names = [] {
    auto* made = new std::unordered_map<TileKernel, std::string>;
    // Several operators may have a kernel in common: the first that is public stands for it.
    for (const bool is_public : {true, false}) {
      for (const OpSchema* op : Registry::get().all()) {
        for (TileKernel each : op->tile.kernels) {
          if (each && (op->name[0] != '_') == is_public) made->try_emplace(each, op->name);
        }
      }
    }
    return made;
  }();
  static const std::string unknown = "copy";
  const auto found = names->find(kernel);
  return found == names->end() ? unknown : found->second;
}

py::str text(const std::string* name) {
  return py::reinterpret_steal<py::str>(
      PyUnicode_DecodeUTF8(name->data(), static_cast<Py_ssize_t>(name->size()), "replace"));
}

py::str kind_of(Kind kind) { return py::str(std::string(1, static_cast<char>(kind))); }

py::tuple events(bool clear) {
  const profile::Events found = profile::events(clear);
  py::list rows;
  for (const profile::Event& each : found.events) {
    rows.append(py::make_tuple(kind_of(each.kind), text(each.category), text(each.name),
                               each.thread, each.begin, each.value));
  }
  return py::make_tuple(rows, found.dropped);
}

py::list totals(bool clear) {
  py::list rows;
  for (const profile::Total& each : profile::totals(clear)) {
    rows.append(py::make_tuple(kind_of(each.kind), text(each.category), text(each.name), each.count,
                               each.sum, each.least, each.most));
  }
  return rows;
}

// A span that has begun at `begin`, a counter, or a marker, if the program's own are recorded.
void add(char kind, const std::string& category, const std::string& name, int64_t begin,
         int64_t value) {
  if (profile::records(profile::kUser)) {
    profile::add(static_cast<Kind>(kind), category, name, begin, value);
  }
}

}  // namespace

void init_profile(py::module_& m) {
  fusion::set_kernel_names(name_of_kernel);
  m.def("profile_record", profile::record);
  m.def("profile_now", profile::now);
  m.def("profile_add", add);
  m.def("profile_events", events);
  m.def("profile_totals", totals);
}

}  // namespace mxtape::python
