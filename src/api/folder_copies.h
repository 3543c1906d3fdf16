// Copies of what a runtime environment takes from the program's machine: folders and modules. A
// copy lies in the session's folder under the hash of its contents, so that equal ones are there
// once. It is made beside its place and renamed: nobody sees half of one. Any thread; waits for the
// disk. As python/sundog/_environment_files.py makes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sundog::detail {

constexpr uint64_t kCopiedBytesMax = 500ull << 20;
constexpr uint64_t kCopiedFilesMax = 100'000;

// The copy of the folder `root`; with a name, what has the copy under that name in it. All are in
// `folder`. A folder that lies there is a copy already. Throws TypeError: too large, or unreadable.
std::string copy_of_folder(const std::string& root, const std::vector<std::string>& excludes,
                           const std::string& folder, const std::string& name = {});
// What has a copy of the one file in it.
std::string copy_of_file(const std::string& path, const std::string& folder);

}  // namespace sundog::detail
