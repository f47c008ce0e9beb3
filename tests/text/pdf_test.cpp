#include "text/pdf.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>

// The files and their words are made by tools/oracle/make_pdf_golden.py. What needs a process to contain it
// is in tests/e2e/test_documents.py.

namespace kvasir::text {
namespace {

std::string read_file(const std::string& name) {
  std::ifstream in("tests/text/golden/pdf/" + name, std::ios::binary);  // ctest runs in the source folder
  std::stringstream contents;
  contents << in.rdbuf();
  EXPECT_FALSE(contents.str().empty()) << name;
  return contents.str();
}

std::string words_of(const std::string& text) {
  std::istringstream in(text);
  std::string words;
  for (std::string word; in >> word;) words += (words.empty() ? "" : " ") + word;
  return words;
}

// A PDF of one page that shows `content`.
std::string one_page(const std::string& content, const std::string& resources = "<</Font<</F 5 0 R>>>>") {
  const std::vector<std::string> objects{
      "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
      "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources " + resources + ">>",
      "<</Length " + std::to_string(content.size()) + ">>stream\n" + content + "\nendstream",
      "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"};
  std::string pdf = "%PDF-1.4\n";
  std::string table;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    std::array<char, 32> entry{};
    std::snprintf(entry.data(), entry.size(), "%010zu 00000 n \n", pdf.size());
    table += entry.data();
    pdf += std::to_string(i + 1) + " 0 obj\n" + objects[i] + "\nendobj\n";
  }
  const std::string start = std::to_string(pdf.size());
  return pdf + "xref\n0 6\n0000000000 65535 f \n" + table + "trailer\n<</Size 6/Root 1 0 R>>\nstartxref\n" +
         start + "\n%%EOF\n";
}

std::string problem(const std::string& pdf) {
  const auto text = pdf_text(pdf);
  return text.ok() ? "text: " + *text : text.error().message;
}

TEST(PdfText, HasTheWordsThatAnotherReaderFindsPageByPage) {
  const boost::json::value golden = boost::json::parse(read_file("words.json"));
  for (const auto& file : golden.as_object()) {
    const boost::json::array& pages = file.value().as_array();
    std::string expected;
    for (std::size_t i = 0; i < pages.size(); ++i) {
      if (pages.size() > 1)
        expected += "[Page " + std::to_string(i + 1) + " of " + std::to_string(pages.size()) + "] ";
      for (const auto& word : pages[i].as_array()) expected += std::string(word.as_string()) + " ";
    }
    const auto text = pdf_text(read_file(std::string(file.key())));
    ASSERT_TRUE(text.ok()) << file.key() << ": " << text.error().message;
    EXPECT_EQ(words_of(*text), words_of(expected)) << file.key();
  }
}

TEST(PdfText, KeepsLinesAndParagraphsApart) {
  EXPECT_EQ(
      pdf_text(one_page("BT /F 12 Tf 50 700 Td (one ) Tj (line) Tj 0 -14 Td (two) Tj 0 -60 Td (three) Tj ET"))
          .value(),
      "one line\ntwo\n\nthree");
}

TEST(PdfText, IsTheSameEveryTime) {
  const std::string pdf = read_file("report.pdf");
  EXPECT_EQ(pdf_text(pdf).value(), pdf_text(pdf).value());
}

TEST(PdfText, BrokenFilesAreToldInOneLine) {
  EXPECT_EQ(problem(""), "PDF cannot be empty.");
  const std::string whole = read_file("report.pdf");
  for (const std::string& broken : {std::string("hello"), std::string("%PDF-1.7\n"), whole.substr(0, 400)}) {
    const std::string said = problem(broken);
    EXPECT_TRUE(said.starts_with("The PDF specified was not valid: ")) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos);
  }
}

TEST(PdfText, APasswordIsAskedForWhereOneIsNeededOnly) {
  EXPECT_EQ(problem(read_file("locked.pdf")), "The PDF specified is password protected.");
  EXPECT_TRUE(pdf_text(read_file("owned.pdf")).ok());
}

TEST(PdfText, AScanIsNoDocumentWithoutWords) {
  const auto scan = pdf_text(one_page("q 100 0 0 100 0 0 cm Q"));
  ASSERT_FALSE(scan.ok());
  EXPECT_EQ(scan.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(scan.error().message.find("could not process PDF: it has no text"), std::string::npos);
}

// Damage of every kind: an answer or an error, never an end of the process.
TEST(PdfText, DamagedFilesCostNothingElse) {
  const std::string whole = read_file("packed.pdf");
  for (std::size_t i = 0; i < 60; ++i) {
    std::string damaged = whole;
    for (std::size_t k = 0; k < 40; ++k) {
      damaged[(i * 7919 + k * 104729) % damaged.size()] = static_cast<char>(i * 31 + k * 17);
    }
    (void)pdf_text(damaged);
    (void)pdf_text(whole.substr(0, whole.size() * i / 60));
  }
}

}  // namespace
}  // namespace kvasir::text
