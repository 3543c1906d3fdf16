#include "api/ignore_rules.h"

#include <algorithm>

namespace sundog::detail {
namespace {

// The characters of a class, [abc] or [!a-z], behind its first bracket; npos: it has no end.
size_t end_of_class(std::string_view inside) {
  const size_t first = inside.starts_with('!') || inside.starts_with('^') ? 1 : 0;
  return inside.find(']', first + 1);  // the first may be a bracket
}

bool is_in_class(std::string_view inside, char c) {
  const bool negated = inside.starts_with('!') || inside.starts_with('^');
  if (negated) inside.remove_prefix(1);
  bool found = false;
  for (size_t i = 0; i < inside.size(); ++i) {
    if (i + 2 < inside.size() && inside[i + 1] == '-') {
      found = found || (inside[i] <= c && c <= inside[i + 2]);
      i += 2;
    } else {
      found = found || inside[i] == c;
    }
  }
  return found != negated;
}

// Bytes of the character that begins here (UTF-8).
size_t bytes_of_character(std::string_view text) {
  size_t bytes = 1;
  while (bytes < text.size() && (text[bytes] & 0xc0) == 0x80) ++bytes;
  return bytes;
}

// Where in a path a part of its pattern can end: ascending, none twice.
using Ends = std::vector<size_t>;

// Behind any characters, slashes too.
Ends after_anything(const Ends& ends, std::string_view path) {
  Ends result;
  for (size_t at = ends[0]; at <= path.size(); ++at) result.push_back(at);
  return result;
}

// Behind any number of folders, none too.
Ends after_folders(const Ends& ends, std::string_view path) {
  Ends result;
  auto none = ends.begin();
  for (size_t at = ends[0]; at <= path.size(); ++at) {
    const bool is_end = none != ends.end() && *none == at;
    if (is_end) ++none;
    if (is_end || path[at - 1] == '/') result.push_back(at);
  }
  return result;
}

// Behind any characters of one name.
Ends after_star(const Ends& ends, std::string_view path) {
  Ends result;
  for (size_t at : ends) {
    if (!result.empty() && at <= result.back()) continue;  // of the same name
    result.push_back(at);
    for (; at < path.size() && path[at] != '/'; ++at) result.push_back(at + 1);
  }
  return result;
}

// The part of a pattern that is one character of a path.
struct OneCharacter {
  explicit OneCharacter(std::string_view pattern) {
    const size_t end = pattern[0] == '[' ? end_of_class(pattern.substr(1)) : pattern.npos;
    is_any = pattern[0] == '?';
    is_class = end != pattern.npos;
    if (is_class) {
      size = end + 2;
      text = pattern.substr(1, end);
    } else {
      size = pattern[0] == '\\' && pattern.size() > 1 ? 2 : 1;
      text = pattern.substr(size - 1, 1);
    }
  }
  // How many bytes of the path fit; 0: none.
  size_t fits(std::string_view path) const {
    if (path.empty()) return 0;
    if (is_any) return path[0] == '/' ? 0 : bytes_of_character(path);
    if (is_class) return path[0] != '/' && is_in_class(text, path[0]) ? 1 : 0;
    return path[0] == text[0] ? 1 : 0;
  }

  bool is_any, is_class;
  std::string_view text;
  size_t size;  // in the pattern
};

Ends after_character(const OneCharacter& part, const Ends& ends, std::string_view path) {
  Ends result;
  for (size_t at : ends) {
    const size_t bytes = part.fits(path.substr(at));
    const bool is_known = !result.empty() && result.back() == at + bytes;
    if (bytes > 0 && !is_known) result.push_back(at + bytes);
  }
  return result;
}

}  // namespace

// All ends of one part, then all of the next: no more steps than characters of both, multiplied.
bool fits_pattern(std::string_view pattern, std::string_view path) {
  Ends ends{0};
  while (!pattern.empty() && !ends.empty()) {
    size_t taken = 1;
    if (pattern.starts_with("**/")) {
      ends = after_folders(ends, path);
      taken = 3;
    } else if (pattern.starts_with("**")) {
      ends = after_anything(ends, path);
      taken = 2;
    } else if (pattern[0] == '*') {
      ends = after_star(ends, path);
    } else {
      const OneCharacter part(pattern);
      ends = after_character(part, ends, path);
      taken = part.size;
    }
    pattern.remove_prefix(taken);
  }
  return !ends.empty() && ends.back() == path.size();
}

void IgnoreRules::add(std::string_view line) {
  while (!line.empty() && std::string_view(" \t\r").find(line.back()) != line.npos) {
    line.remove_suffix(1);
  }
  if (line.empty() || line[0] == '#') return;
  const bool negated = line[0] == '!';
  if (negated) line.remove_prefix(1);
  const bool only_folders = line.ends_with('/');
  while (line.ends_with('/')) line.remove_suffix(1);
  const bool anchored = line.find('/') != line.npos;  // else in whatever folder
  while (line.starts_with('/')) line.remove_prefix(1);
  rules_.push_back({(anchored ? "" : "**/") + std::string(line), negated, only_folders});
}

void IgnoreRules::add_lines(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    add(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::optional<bool> IgnoreRules::decides(std::string_view path, bool is_folder) const {
  std::optional<bool> result;
  for (const Rule& rule : rules_) {
    if ((is_folder || !rule.only_folders) && fits_pattern(rule.pattern, path)) {
      result = !rule.negated;
    }
  }
  return result;
}

}  // namespace sundog::detail
