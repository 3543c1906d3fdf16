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
