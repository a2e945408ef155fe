#pragma once

#include <pybind11/pybind11.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "autograd/backward.h"
#include "autograd/inner.h"
#include "runtime/random.h"

namespace mxtape::python {

// A part of a program that keeps its inputs only, and runs again when its gradient is asked for.
// Its edges lead to what the part depends on: inputs or not.
class CheckpointNode final : public autograd::Node {
 public:
  // Places on the tape outside, and what of them gradients read: a storage and its version.
  using Place = std::pair<autograd::Node*, uint32_t>;
  struct Read {
    const Storage* storage = nullptr;
    uint32_t version = 0;
    bool operator==(const Read&) const = default;
  };
  // What a run of the part has recorded depends on.
  struct Outside {
    std::vector<autograd::Edge> edges;
    std::map<Place, size_t> known;
    std::map<Place, Read> reads;
  };

  // Runs the part for the first time. What it returns hangs on a node, where it depends on a
  // variable.
  static pybind11::list run(pybind11::object part, std::string name, const pybind11::list& inputs);

  std::string_view name() const override { return name_; }
  std::span<autograd::Edge> edges() override { return edges_; }
  uint32_t output_count() const override { return static_cast<uint32_t>(outputs_.size()); }
  bool output_meta(uint32_t index, Shape& shape, DType& dtype) const override;
  void vjp(autograd::VjpCall& call) override;
  void release() override;

  std::span<const autograd::Saved> inputs() const { return inputs_; }
  // Where its edges led when it was recorded. Inside of another part that is computed again they
  // end where that part begins, while what it runs again still finds these.
  std::span<const autograd::Edge> outside() const { return outside_.edges; }

  CheckpointNode(pybind11::object part, std::string name, std::vector<autograd::Saved> inputs,
                 std::vector<int> places, bool training)
      : part_(part.release().ptr()),
        name_(std::move(name)),
        inputs_(std::move(inputs)),
        places_(std::move(places)),
        training_(training) {}

 private:
  ~CheckpointNode() override;
  static bool draws_aside();
  std::vector<NDArray> again() const;
  [[noreturn]] void raise_again(pybind11::error_already_set& error) const;
  void end_at(std::span<autograd::Edge> heads, uint64_t last,
              std::span<const Ref<autograd::EndNode>> ends) const;
  void check_repeated(const std::vector<NDArray>& results) const;

  PyObject* part_;
  std::string name_;
  std::vector<autograd::Edge> edges_;
  std::vector<autograd::Saved> inputs_, outputs_;
  std::vector<int> places_;  // of each input among the edges, or -1
  Outside outside_;
  DrawnStreams drawn_{draws_aside};
  bool training_;
};

void init_checkpoint(pybind11::module_& m);

}  // namespace mxtape::python
