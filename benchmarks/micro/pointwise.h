#pragma once

#include <string>
#include <vector>

namespace mxtape::micro {

// Prints what an element of every pointwise operator takes beside what its declaration says, and
// names those that take much longer: mostly functions of which a part is not vectorised. `names`:
// parts of the names of those to look at; all where there are none. Gives the number of slow ones.
int report_pointwise(const std::vector<std::string>& names);

}  // namespace mxtape::micro
