#pragma once
// Golden files of this folder, written by tools/oracle/make_text_golden.py.

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>
#include <string>

namespace kvasir::text {

inline boost::json::array read_golden(const std::string& name) {
  const std::string path = "tests/text/golden/" + name;  // ctest runs in the source folder
  std::ifstream in(path);
  std::stringstream contents;
  contents << in.rdbuf();
  boost::system::error_code error;
  boost::json::value value = boost::json::parse(contents.str(), error);
  if (error || !value.is_array()) {
    ADD_FAILURE() << path << " cannot be read (" << error.message() << "): run from the source folder";
    return {};
  }
  return value.get_array();
}

}  // namespace kvasir::text
