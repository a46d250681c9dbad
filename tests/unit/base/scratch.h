// A directory of a test's own, removed at the end. Single-threaded.
#ifndef TESTS_UNIT_BASE_SCRATCH_H_
#define TESTS_UNIT_BASE_SCRATCH_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace noded {

class ScratchTest : public testing::Test {
 protected:
  ScratchTest() {
    std::string pattern = testing::TempDir() + "noded_base_XXXXXX";
    dir_ = mkdtemp(pattern.data());
  }
  ~ScratchTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }

  std::string Path(const std::string& name) const { return dir_ + "/" + name; }
  bool Exists(const std::string& name) const {
    return std::filesystem::exists(std::filesystem::symlink_status(Path(name)));
  }
  void Write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(Path(name)).parent_path());
    std::ofstream(Path(name)) << content;
  }
  std::string Read(const std::string& name) const {
    std::stringstream content;
    content << std::ifstream(Path(name)).rdbuf();
    return content.str();
  }

  std::string dir_;
};

}  // namespace noded

#endif  // TESTS_UNIT_BASE_SCRATCH_H_
