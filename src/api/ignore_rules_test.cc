#include "api/ignore_rules.h"

#include <gtest/gtest.h>

namespace sundog::detail {
namespace {

bool leaves_out(std::string_view lines, std::string_view path, bool is_folder = false) {
  IgnoreRules rules;
  rules.add_lines(lines);
  return rules.decides(path, is_folder).value_or(false);
}

TEST(IgnoreRules, a_name_fits_in_every_folder_and_a_path_from_the_first) {
  EXPECT_TRUE(leaves_out("*.log", "a.log"));
  EXPECT_TRUE(leaves_out("*.log", "deep/er/a.log"));
  EXPECT_FALSE(leaves_out("*.log", "a.log/b"));
  EXPECT_TRUE(leaves_out("/a", "a"));
  EXPECT_FALSE(leaves_out("/a", "b/a"));
  EXPECT_TRUE(leaves_out("a/b", "a/b"));
  EXPECT_FALSE(leaves_out("a/b", "c/a/b"));
}

TEST(IgnoreRules, stars_stop_at_slashes_unless_there_are_two) {
  EXPECT_FALSE(leaves_out("a/*", "a/b/c"));
  EXPECT_TRUE(leaves_out("a/**", "a/b/c"));
  EXPECT_TRUE(leaves_out("a/**/c", "a/c"));
  EXPECT_TRUE(leaves_out("a/**/c", "a/b/b/c"));
  EXPECT_TRUE(leaves_out("**/c", "c"));
  EXPECT_FALSE(leaves_out("?", "ab"));
  EXPECT_TRUE(leaves_out("a?c",
                         "a\xc3\xa9"
                         "c"));
}

TEST(IgnoreRules, brackets_are_one_character) {
  EXPECT_TRUE(leaves_out("[a-c]x", "bx"));
  EXPECT_FALSE(leaves_out("[!a-c]x", "bx"));
  EXPECT_TRUE(leaves_out("[]]", "]"));
  EXPECT_TRUE(leaves_out("[", "["));
  EXPECT_FALSE(leaves_out("[z-a]", "b"));
  EXPECT_TRUE(leaves_out("\\*", "*"));
  EXPECT_FALSE(leaves_out("\\*", "a"));
}

TEST(IgnoreRules, a_part_may_fit_behind_any_of_the_ends_before_it) {
  EXPECT_TRUE(fits_pattern("*a**/b", "xaab"));
  EXPECT_TRUE(fits_pattern("a**/b", "ax/y/b"));
  EXPECT_TRUE(fits_pattern("*/*b*c", "ab/abbc"));
  EXPECT_FALSE(fits_pattern("*/*b*c", "ab/ab/bc"));
  EXPECT_TRUE(fits_pattern("**b*/c", "a/b/bb/c"));
  EXPECT_TRUE(fits_pattern("?*?", "\xc3\xa9\xc3\xa9"));
  EXPECT_FALSE(fits_pattern("?*?", "\xc3\xa9"));
  EXPECT_TRUE(fits_pattern("a/**", "a/"));
  EXPECT_FALSE(fits_pattern("a", ""));
  EXPECT_TRUE(fits_pattern("***", "a/b"));
}

// Seconds, unless a mismatch at the end is looked for behind each star anew.
TEST(IgnoreRules, many_stars_take_no_time) {
  std::string stars, folders;
  for (int i = 0; i < 20; ++i) stars += "*a";
  for (int i = 0; i < 20; ++i) folders += "**/a*/";
  const std::string name(200, 'a');
  std::string path = name;
  for (int i = 0; i < 60; ++i) path += "/aa";
  EXPECT_FALSE(leaves_out(stars + "b", name));
  EXPECT_TRUE(leaves_out(stars, name));
  EXPECT_FALSE(leaves_out(folders + "b", path));
  EXPECT_TRUE(leaves_out(folders + "aa", path));
  EXPECT_FALSE(leaves_out(std::string(200, '*') + "b", path));
}

TEST(IgnoreRules, the_last_one_that_fits_decides) {
  EXPECT_FALSE(leaves_out("*.log\n!kept.log", "kept.log"));
  EXPECT_TRUE(leaves_out("!kept.log\n*.log", "kept.log"));
  EXPECT_FALSE(leaves_out("# a\n\n", "a"));
  IgnoreRules none;
  EXPECT_FALSE(none.decides("a", false).has_value());
}

TEST(IgnoreRules, a_slash_at_the_end_is_for_folders) {
  EXPECT_TRUE(leaves_out("build/", "deep/build", true));
  EXPECT_FALSE(leaves_out("build/", "build", false));
}

}  // namespace
}  // namespace sundog::detail
