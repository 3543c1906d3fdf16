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

// Whether `rest` of the pattern fits `path`, or what is behind some of its characters.
bool fits_further_on(std::string_view rest, std::string_view path, bool over_slashes) {
  while (true) {
    if (fits_pattern(rest, path)) return true;
    if (path.empty() || (path[0] == '/' && !over_slashes)) return false;
    path.remove_prefix(1);
  }
}

}  // namespace

bool fits_pattern(std::string_view pattern, std::string_view path) {
  while (!pattern.empty()) {
    if (pattern.starts_with("**/")) {  // any number of folders, none too
      pattern.remove_prefix(3);
      while (true) {
        if (fits_pattern(pattern, path)) return true;
        const size_t slash = path.find('/');
        if (slash == path.npos) return false;
        path.remove_prefix(slash + 1);
      }
    }
    if (pattern.starts_with("**")) return fits_further_on(pattern.substr(2), path, true);
    if (pattern[0] == '*') return fits_further_on(pattern.substr(1), path, false);
    if (path.empty()) return false;
    size_t taken = 1, of_path = 1;
    if (pattern[0] == '?') {
      if (path[0] == '/') return false;
      of_path = bytes_of_character(path);
    } else if (const size_t end = pattern[0] == '[' ? end_of_class(pattern.substr(1)) : 0;
               pattern[0] == '[' && end != pattern.npos) {
      if (path[0] == '/' || !is_in_class(pattern.substr(1, end), path[0])) return false;
      taken = end + 2;
    } else {
      if (pattern[0] == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
      if (pattern[0] != path[0]) return false;
    }
    pattern.remove_prefix(taken);
    path.remove_prefix(of_path);
  }
  return path.empty();
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
