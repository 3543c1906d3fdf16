// Runtime environments of C++ programs: what is asked for, what travels, what workers have, with
// tests/tools/calls_worker.cc.
#include "api/environments.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "api/folder_copies.h"
#include "sundog/sundog.h"

namespace sundog {
namespace {

namespace fs = std::filesystem;
using detail::Environment;

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

// While it lives, this process is there.
class InFolder {
 public:
  explicit InFolder(const fs::path& folder) : before_(fs::current_path()) {
    fs::current_path(folder);
  }
  ~InFolder() { fs::current_path(before_); }

 private:
  const fs::path before_;
};

class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sundog-environments-XXXXXX";
    folder_ = mkdtemp(pattern);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path at(const std::string& name) const { return folder_ / name; }

 private:
  fs::path folder_;
};

// What is wrong with it, as the program is told.
std::string refused(const std::function<void()>& ask) {
  try {
    ask();
  } catch (const TypeError& error) {
    return error.what();
  }
  return "nothing was thrown";
}
std::string refused(const RuntimeEnv& asked) {
  return refused([&] { detail::check_environment("add", asked); });
}

TEST(Environment, of_a_child_has_its_parts_in_place_of_its_parents) {
  const Environment parent{
      {{"A", "1"}, {"B", "2"}}, "/copies/a", {{"pip", "[]"}, {"preload", "1"}}};
  const Environment child{{{"B", "3"}}, "", {{"uv", "{}"}}};
  const Environment both = parent.merged(child);
  EXPECT_EQ(both.variables, (std::map<std::string, std::string>{{"A", "1"}, {"B", "3"}}));
  EXPECT_EQ(both.folder, "/copies/a");
  EXPECT_EQ(both.others, (std::map<std::string, std::string>{{"uv", "{}"}, {"preload", "1"}}));
  EXPECT_EQ(parent.merged({{}, "/copies/b", {}}).folder, "/copies/b");
}

TEST(Environment, comes_back_from_the_text_for_cpp) {
  for (const Environment& each :
       {Environment{}, Environment{{{"A", "x=y"}, {"B", ""}}, "", {}},
        Environment{{}, "/copies/a", {{"pip", "{\"packages\":[\"six\"]}"}}},
        Environment{{{"A", "1"}}, "/copies/a", {{"config", "{}"}, {"preload", "[]"}}}}) {
    const Environment read = Environment::of_cpp_text(each.text_for_cpp());
    EXPECT_EQ(read.variables, each.variables);
    EXPECT_EQ(read.folder, each.folder);
    EXPECT_EQ(read.others, each.others);
  }
}

TEST(Environment, is_json_for_python) {
  const Environment asked{
      {{"A", "a \"word\""}}, "/copies/a", {{"pip", "{\"packages\":[\"six\"]}"}}};
  EXPECT_EQ(asked.text_for_python(), R"({"env_vars":{"A":"a \"word\""},"pip":{"packages":["six"]},)"
                                     R"("working_dir":"/copies/a"})");
}

// As the literal '\\udcff' of Python, which os.environ has for the byte 0xff.
TEST(Environment, is_json_for_python_with_bytes_that_are_no_utf8) {
  const Environment asked{{{"A", "\xff\xc3\xa9\xed\xa0\x80\xc3"}}, "", {{"pip", "[\"\xe2\x82\"]"}}};
  EXPECT_EQ(asked.text_for_python(),
            "{\"env_vars\":{\"A\":\"\\udcff\xc3\xa9\\udced\\udca0\\udc80\\udcc3\"},"
            "\"pip\":[\"\\udce2\\udc82\"]}");
}

TEST(RuntimeEnv, says_which_part_is_wrong_and_what_it_is_to_be) {
  EXPECT_EQ(
      refused({.env_vars = {{"A=B", "1"}}}),
      "add: runtime_env['env_vars']: 'A=B' cannot be a variable of the environment: a name is "
      "not empty and has no '=', and there is no NUL in either");
  EXPECT_EQ(refused({.pip = {"six"}, .uv = {"six"}}),
            "add: runtime_env has 'pip' and 'uv': one of them installs packages, not both");
  EXPECT_EQ(refused({.pip = {"six", ""}}),
            "add: runtime_env['pip'] is a list of strings that are not empty");
  EXPECT_EQ(
      refused({.excludes = {"*.o"}}),
      "add: runtime_env['excludes'] is for what is copied: give 'working_dir' or 'py_modules' "
      "too");
  for (const std::string hook : {"begin", ".begin", "begin.", "..", "..begin."}) {
    EXPECT_EQ(
        refused({.worker_process_setup_hook = hook}),
        "add: runtime_env['worker_process_setup_hook'] is 'module.function' of Python, got '" +
            hook + "'");
  }
  const std::string begin =
      "add: runtime_env['py_executable'] is a command as a shell reads it, got ";
  EXPECT_EQ(refused({.py_executable = "python 'a b"}),
            begin + "'python 'a b': a quotation mark is not closed");
  EXPECT_EQ(refused({.py_executable = "python \"a\\\""}),
            begin + "'python \"a\\\"': a quotation mark is not closed");
  EXPECT_EQ(refused({.py_executable = "python\\"}),
            begin + "'python\\': nothing is behind its last backslash");
  EXPECT_EQ(refused({.py_executable = " "}), begin + "' ': nothing is named");
  EXPECT_EQ(refused({.setup_timeout_seconds = -2}),
            "add: runtime_env: setup_timeout_seconds is from 1 second on, or -1 for any time, got "
            "-2");
  EXPECT_EQ(
      refused([] { detail::check_environment_of_cpp("add", {.preload = {"json"}}); }),
      "add: runtime_env of what is in C++ is 'env_vars' and 'working_dir', got 'preload', "
      "which is for making an interpreter ready: a C++ worker has none. Give it to python_task "
      "or python_actor, or to init for all that is in Python");
  EXPECT_NE(refused([] {
              detail::check_environment_of_cpp("add", {.setup_timeout_seconds = 5});
            }).find("got 'setup_timeout_seconds', which"),
            std::string::npos);
}

TEST(RuntimeEnv, has_what_python_takes) {
  for (const std::string hook : {"module.begin", ".a.b.", "a.b.c"}) {
    EXPECT_NO_THROW(detail::check_environment("add", {.worker_process_setup_hook = hook}));
  }
  for (const std::string command : {"python", "'a b/python' \"it's\"", "python '\\'", "a\\'b"}) {
    EXPECT_NO_THROW(detail::check_environment("add", {.py_executable = command}));
  }
  for (const int seconds : {0, 600}) {  // as without
    EXPECT_NO_THROW(detail::check_environment_of_cpp("add", {.setup_timeout_seconds = seconds}));
  }
}

TEST_F(FolderTest, only_folders_that_are_there_can_be_asked_for) {
  write(at("data.zip"), "zipped");
  auto refused_path = [&](const RuntimeEnv& asked) {
    return refused([&] { detail::with_absolute_paths(asked); });
  };
  const std::string here = at("");
  EXPECT_EQ(refused_path({.working_dir = "s3://bucket/data"}),
            "runtime_env['working_dir'] is a folder, got 's3://bucket/data': nothing is downloaded "
            "in this version; fetch it first");
  EXPECT_EQ(refused_path({.working_dir = here + "no"}),
            "runtime_env['working_dir'] is a folder, got '" + here + "no': " + here +
                "no does not exist");
  EXPECT_EQ(refused_path({.py_modules = {here + "data.zip"}}),
            "runtime_env['py_modules'] is a folder or a .py file, got '" + here +
                "data.zip': a program in C++ unpacks nothing; unpack it first");
  write(at("words"), "two words");
  EXPECT_EQ(refused_path({.working_dir = here + "words"}),
            "runtime_env['working_dir'] is a folder, got '" + here + "words': " + here +
                "words is no folder");
  EXPECT_EQ(refused_path({.py_modules = {here + "words"}}),
            "runtime_env['py_modules'] is a folder or a .py file, got '" + here +
                "words': " + here + "words is neither");
}

TEST_F(FolderTest, paths_are_those_from_the_folder_that_the_program_is_in) {
  write(at("data/words"), "");
  write(at("single.py"), "");
  const InFolder in_folder(at(""));
  const RuntimeEnv asked = detail::with_absolute_paths(
      {.working_dir = "data", .uv = {"six", "../mine"}, .py_modules = {"./single.py", "data/"}});
  EXPECT_EQ(asked.working_dir, at("data"));
  EXPECT_EQ(asked.uv,
            (std::vector<std::string>{"six", at("").parent_path().parent_path() / "mine"}));
  EXPECT_EQ(asked.py_modules, (std::vector<std::string>{at("single.py"), at("data")}));
  EXPECT_EQ(detail::with_absolute_paths({.working_dir = "~"}).working_dir, std::getenv("HOME"));
}

TEST_F(FolderTest, what_python_alone_has_is_written_as_python_writes_it) {
  write(at("tools/__init__.py"), "");
  write(at("single.py"), "");
  const RuntimeEnv asked{.pip = {"six==1.16", "-e ./mine[fast]"},
                         .py_modules = {at("tools/"), at("single.py")},
                         .py_executable = "/usr/bin/env python3",
                         .preload = {"json"},
                         .setup_timeout_seconds = 5};
  auto others = detail::resolved(detail::with_absolute_paths(asked), at("copies")).others;
  EXPECT_EQ(others["pip"], "{\"packages\":[\"six==1.16\",\"-e " +
                               (fs::current_path() / "mine").native() + "[fast]\"]}");
  EXPECT_EQ(others["py_executable"], "\"/usr/bin/env python3\"");
  EXPECT_EQ(others["preload"], "[\"json\"]");
  EXPECT_EQ(others["config"], "{\"setup_timeout_seconds\":5}");
  size_t copies = 0;
  for (const auto& entry : fs::directory_iterator(at("copies/dirs"))) {
    EXPECT_NE(others["py_modules"].find(entry.path().native()), std::string::npos);
    EXPECT_TRUE(fs::exists(entry.path() / "tools/__init__.py") ||
                fs::exists(entry.path() / "single.py"));
    ++copies;
  }
  EXPECT_EQ(copies, 2u);
}

TEST_F(FolderTest, a_copy_has_what_is_not_ignored_and_is_there_once) {
  write(at("data/words"), "two words");
  write(at("data/deep/run.sh"), "#!/bin/sh");
  chmod(at("data/deep/run.sh").c_str(), 0755);
  write(at("data/.gitignore"), "*.log\nbuild/\n");
  write(at("data/deep/.gitignore"), "!kept.log");
  for (const char* name : {"a.log", "build/x", "deep/b.log", "deep/kept.log", "deep/secret",
                           ".git/config", "__pycache__/x.pyc"}) {
    write(at("data") / name, "");
  }
  fs::create_symlink("words", at("data/link"));
  const fs::path copy = detail::copy_of_folder(at("data"), {"secret"}, at("copies"));
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(copy)) {
    if (!entry.is_directory())
      found.push_back(fs::relative(entry.path().parent_path(), copy) / entry.path().filename());
  }
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, (std::vector<std::string>{"./.gitignore", "./link", "./words", "deep/.gitignore",
                                             "deep/kept.log", "deep/run.sh"}));
  EXPECT_TRUE(fs::is_symlink(copy / "link"));
  EXPECT_EQ(access((copy / "deep/run.sh").c_str(), X_OK), 0);
  EXPECT_EQ(detail::copy_of_folder(at("data"), {"secret"}, at("copies")), copy);
  EXPECT_EQ(detail::copy_of_folder(copy, {}, at("copies")), copy);
  write(at("data/words"), "other words");
  EXPECT_NE(detail::copy_of_folder(at("data"), {"secret"}, at("copies")), copy);
  EXPECT_EQ(std::distance(fs::directory_iterator(at("copies/dirs")), {}), 2);
}

TEST_F(FolderTest, a_pipe_has_no_patterns) {
  write(at("data/words"), "two words");
  ASSERT_EQ(mkfifo(at("data/.gitignore").c_str(), 0600), 0);
  fs::create_directories(at("data/deep/.gitignore"));
  const fs::path copy = detail::copy_of_folder(at("data"), {}, at("copies"));
  EXPECT_TRUE(fs::exists(copy / "words"));
  EXPECT_FALSE(fs::exists(copy / ".gitignore"));
  EXPECT_TRUE(fs::exists(copy / "deep/.gitignore"));
}

TEST_F(FolderTest, a_folder_that_is_too_large_is_not_copied) {
  write(at("data/small"), "x");
  write(at("data/large"), "");
  fs::resize_file(at("data/large"), detail::kCopiedBytesMax);  // sparse
  EXPECT_EQ(refused([&] { detail::copy_of_folder(at("data"), {}, at("copies")); }),
            "runtime_env: " + at("data").native() +
                " is too large to copy: 524 MB in 2 files, at most 524 MB and 100000 files; name "
                "what is not needed in `excludes` (the largest: large, 524 MB)");
  detail::copy_of_folder(at("data"), {"large"}, at("copies"));
}

// ---- with a session

class EnvironmentsTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    setenv("SUNDOG_HOME", at("home").c_str(), 1);
  }
  void TearDown() override {
    if (session_) session_->shutdown();
    session_.reset();
    FolderTest::TearDown();
  }
  Session& begin(RuntimeEnv runtime_env = {}) {
    InitOptions options;
    options.num_cpus = 2;
    options.store_bytes = 256 << 20;
    options.worker = fs::read_symlink("/proc/self/exe").parent_path() / "calls_worker";
    options.runtime_env = std::move(runtime_env);
    return session_.emplace(init(options));
  }

 private:
  std::optional<Session> session_;
};

TEST_F(EnvironmentsTest, workers_have_the_variables_and_the_folder_of_the_session) {
  write(at("data/words"), "beside the program");
  Session& session = begin({.env_vars = {{"COLOUR", "green"}, {"PLACE", "at ${HOME}${NO_SUCH}!"}},
                            .working_dir = at("data")});
  auto variable = session.task<std::string>("variable");
  EXPECT_EQ(session.get(variable.remote("COLOUR")), "green");
  EXPECT_EQ(session.get(variable.remote("PLACE")), std::string("at ") + getenv("HOME") + "!");
  EXPECT_EQ(session.get(session.task<std::string>("first_word_of").remote("words")), "beside");
  EXPECT_EQ(session.get(variable.remote("SUNDOG_CPP_ENVIRONMENT")), "");
  auto actor = session.actor("Patient").remote();
  EXPECT_EQ(session.get(actor.call<std::string>("has").remote("COLOUR")), "green");
}

TEST_F(EnvironmentsTest, a_call_adds_to_that_of_the_session) {
  write(at("data/words"), "in a folder");
  Session& session = begin({.env_vars = {{"COLOUR", "green"}, {"SIZE", "small"}}});
  auto variable = session.task<std::string>("variable");
  auto red = variable.options({.runtime_env = {.env_vars = {{"COLOUR", "red"}}}});
  EXPECT_EQ(session.get(red.remote("COLOUR")), "red");
  EXPECT_EQ(session.get(red.remote("SIZE")), "small");
  EXPECT_EQ(session.get(variable.remote("COLOUR")), "green");
  auto first_word_of = session.task<std::string>("first_word_of");
  auto beside = first_word_of.options({.runtime_env = {.working_dir = at("data")}});
  EXPECT_EQ(session.get(beside.remote("words")), "in");
  EXPECT_EQ(session.get(first_word_of.remote("words")), "");
  auto actor =
      session.actor("Patient").options({.runtime_env = {.env_vars = {{"COLOUR", "blue"}}}});
  auto blue = actor.remote();
  EXPECT_EQ(session.get(blue.call<std::string>("has").remote("COLOUR")), "blue");
  EXPECT_EQ(session.get(blue.call<std::string>("has").remote("SIZE")), "small");
}

TEST_F(EnvironmentsTest, children_inherit_and_their_variables_are_merged) {
  Session& session = begin();
  auto options = TaskOptions{.runtime_env = {.env_vars = {{"COLOUR", "red"}}}};
  auto of_a_child = session.task<std::string>("variable_of_a_child").options(options);
  EXPECT_EQ(session.get(of_a_child.remote("COLOUR")), "red");
  auto beside = session.task<std::string>("variable_beside").options(options);
  const std::map<std::string, std::string> own{{"SIZE", "large"}};
  EXPECT_EQ(session.get(beside.remote("COLOUR", own)), "red");
  EXPECT_EQ(session.get(beside.remote("SIZE", own)), "large");
}

TEST_F(EnvironmentsTest, what_is_python_s_is_refused_where_there_is_none) {
  EXPECT_EQ(refused([&] { begin({.pip = {"six"}}); }),
            "InitOptions: runtime_env has 'pip', which is for tasks and actors in Python, and this "
            "session has none: set InitOptions::python");
  EXPECT_EQ(refused([&] { begin({.working_dir = at("no")}); }),
            "runtime_env['working_dir'] is a folder, got '" + at("no").native() +
                "': " + at("no").native() + " does not exist");
  Session& session = begin();
  auto asks = [&] {
    session.task<std::string>("variable").options({.runtime_env = {.py_modules = {"tools"}}});
  };
  EXPECT_NE(refused(asks).find("'env_vars' and 'working_dir', got 'py_modules'"),
            std::string::npos);
  auto refused_actor = [&](const RuntimeEnv& asked) {
    return refused([&] { session.actor("Patient").options({.runtime_env = asked}); });
  };
  EXPECT_NE(refused_actor({.uv = {"six"}}).find("got 'uv'"), std::string::npos);
  EXPECT_NE(refused_actor({.working_dir = at("no")}).find("does not exist"), std::string::npos);
  write(at("data/large"), "");
  fs::resize_file(at("data/large"), detail::kCopiedBytesMax + 1);  // sparse
  EXPECT_NE(refused_actor({.working_dir = at("data")}).find("too large"), std::string::npos);
}

TEST_F(EnvironmentsTest, a_relative_path_is_another_folder_in_another_folder) {
  write(at("a/data/words"), "first");
  write(at("b/data/words"), "second");
  Session& session = begin();
  auto word_of_data = [&](const char* folder) {
    const InFolder in_folder(at(folder));
    const RuntimeEnv asked{.working_dir = "data"};
    return session.task<std::string>("first_word_of").options({.runtime_env = asked});
  };
  auto first = word_of_data("a"), second = word_of_data("b");
  EXPECT_EQ(session.get(first.remote("words")), "first");
  EXPECT_EQ(session.get(second.remote("words")), "second");
  EXPECT_EQ(session.get(word_of_data("a").remote("words")), "first");
}

// Whose folder is copied meanwhile.
TEST_F(EnvironmentsTest, a_task_that_threads_ask_for_at_once_is_defined_once) {
  Session& session = begin();
  uint32_t last = detail::template_of(session.core().get(), {"first"});
  for (int round = 0; round < 20; ++round) {
    write(at("data" + std::to_string(round)) / "words", std::to_string(round));
    const RuntimeEnv asked{.working_dir = at("data" + std::to_string(round))};
    std::vector<uint32_t> numbers(4);
    std::vector<std::jthread> threads;
    for (uint32_t& number : numbers) {
      threads.emplace_back([&] {
        auto options = detail::checked_options("variable", false, {.runtime_env = asked});
        number = detail::template_of(session.core().get(), {"variable", false, options});
      });
    }
    threads.clear();
    EXPECT_EQ(numbers, std::vector<uint32_t>(4, last + 1));
    last = numbers[0];
  }
}

TEST_F(EnvironmentsTest, a_copy_that_is_gone_fails_its_calls_with_that) {
  write(at("data/words"), "gone");
  Session& session = begin();
  auto first_word_of = session.task<std::string>("first_word_of")
                           .options({.runtime_env = {.working_dir = at("data")}});
  for (const auto& home : fs::directory_iterator(at("home/sessions"))) {
    fs::remove_all(home.path() / "environments/dirs");
  }
  try {
    session.get(first_word_of.remote("words"));
    FAIL() << "nothing was thrown";
  } catch (const RuntimeEnvSetupError& error) {
    EXPECT_NE(std::string(error.what()).find("the copy of its working_dir is gone"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace sundog
