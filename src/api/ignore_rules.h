// Patterns in the notation of .gitignore. A plain value; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sundog::detail {

class IgnoreRules {
 public:
  IgnoreRules() = default;
  // Empty lines and comments are no rules.
  void add(std::string_view line);
  void add_lines(std::string_view text);
  // Whether the path, relative and with slashes, is left out: the last pattern that fits says so.
  // Nothing if none fits.
  std::optional<bool> decides(std::string_view path, bool is_folder) const;

 private:
  struct Rule {
    std::string pattern;
    bool negated, only_folders;
  };
  std::vector<Rule> rules_;
};

// Whether the whole path fits: * and ? stop at slashes, ** does not, [a-z] is one character.
bool fits_pattern(std::string_view pattern, std::string_view path);

}  // namespace sundog::detail
