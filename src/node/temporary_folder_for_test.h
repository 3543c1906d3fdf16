// TemporaryFolder: a folder of a test, removed with what is in it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

#include "os/files.h"

namespace sundog::node {

class TemporaryFolder {
 public:
  TemporaryFolder() { EXPECT_NE(::mkdtemp(path_), nullptr); }
  ~TemporaryFolder() { os::remove_tree(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string path(const std::string& name) const {
    return name.empty() ? std::string(path_) : std::string(path_) + "/" + name;
  }

 private:
  char path_[40] = "/tmp/sundog-node-test-XXXXXX";
};

}  // namespace sundog::node
