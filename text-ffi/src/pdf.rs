//! The text of a PDF, by pdf-extract.
//!
//! A PDF is a program for a page, and readers of it can be made to loop, recurse and unpack without end. What is
//! bounded here: pages, bytes of text, the depth of the stack, panics (each page's own), and, once
//! `kvt_memory_confine` was called, memory. Time, and an overflow of that stack, are the caller's to bound: by a
//! process of its own (cli/pdf_worker).

use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};

use pdf_extract::{output_doc_page, ConvertToFmt, Document, PlainTextOutput};

use crate::{fail, guard, Code, Outcome, Owned, Text};

/// pdf-extract recurses over forms, lopdf over nested objects; real files need a small part of this.
const STACK_BYTES: usize = 64 << 20;

/// Text up to a limit; beyond it writing fails, which ends the page.
struct BoundedText {
    text: String,
    bytes_max: usize,
    is_full: bool,
}

struct BoundedWriter<'a>(&'a mut BoundedText);

impl fmt::Write for BoundedWriter<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if self.0.text.len() + piece.len() > self.0.bytes_max {
            self.0.is_full = true;
            return Err(fmt::Error);
        }
        self.0.text.push_str(piece);
        Ok(())
    }
}

impl<'a> ConvertToFmt for &'a mut BoundedText {
    type Writer = BoundedWriter<'a>;
    fn convert(self) -> Self::Writer {
        BoundedWriter(self)
    }
}

fn not_valid<T>(why: impl fmt::Display) -> Outcome<T> {
    fail(Code::Corrupt, format!("The PDF specified was not valid: {why}."))
}

fn open(bytes: &[u8]) -> Outcome<Document> {
    use pdf_extract::Error::{Decryption, InvalidPassword, Unimplemented, UnsupportedSecurityHandler};
    let refused = |error: pdf_extract::Error| match error {
        Decryption(_) | InvalidPassword | Unimplemented(_) | UnsupportedSecurityHandler(_) => {
            fail(Code::Unsupported, "The PDF specified is password protected.")
        }
        other => not_valid(other),
    };
    let mut document = match Document::load_mem(bytes) {
        Ok(document) => document,
        Err(error) => return refused(error),
    };
    // Files that only their owner's password protects open with the empty one.
    if document.is_encrypted() {
        if let Err(error) = document.decrypt("") {
            return refused(error);
        }
    }
    Ok(document)
}

/// Letters that fonts join; everything else stays as the file has it.
fn push_plain(to: &mut String, c: char) {
    match c {
        '\u{fb00}' => to.push_str("ff"),
        '\u{fb01}' => to.push_str("fi"),
        '\u{fb02}' => to.push_str("fl"),
        '\u{fb03}' => to.push_str("ffi"),
        '\u{fb04}' => to.push_str("ffl"),
        '\u{fb05}' | '\u{fb06}' => to.push_str("st"),
        '\u{a0}' => to.push(' '),
        c if c.is_control() => {}
        c => to.push(c),
    }
}

/// Lines without blanks at their ends, and no more than one empty line in a row.
fn tidied(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut empty_lines = 0;
    for line in text.split(['\n', '\r']) {
        let line = line.trim();
        if line.is_empty() {
            empty_lines += 1;
            continue;
        }
        if !tidy.is_empty() {
            tidy.push_str(if empty_lines > 0 { "\n\n" } else { "\n" });
        }
        empty_lines = 0;
        line.chars().for_each(|c| push_plain(&mut tidy, if c == '\t' { ' ' } else { c }));
    }
    tidy
}

enum Page {
    Text(String),
    Unreadable,
}

fn read_page(document: &Document, number: u32, bytes_max: usize) -> Outcome<Page> {
    let mut bounded = BoundedText { text: String::new(), bytes_max, is_full: false };
    // A font or an operator that pdf-extract stumbles over costs its own page only.
    let done = catch_unwind(AssertUnwindSafe(|| {
        output_doc_page(document, &mut PlainTextOutput::new(&mut bounded), number).is_ok()
    }));
    if bounded.is_full {
        return fail(Code::Invalid, "could not process PDF: it has more text than a prompt can hold.");
    }
    let text = tidied(&bounded.text);
    // What was read before the stumble is worth having.
    Ok(if text.is_empty() && !done.unwrap_or(false) { Page::Unreadable } else { Page::Text(text) })
}

/// Pages apart, each under its number where there is more than one, so that a model can say where it read
/// something.
fn pdf_text(bytes: &[u8], pages_max: usize, text_bytes_max: usize) -> Outcome<String> {
    if bytes.is_empty() {
        return fail(Code::Corrupt, "PDF cannot be empty.");
    }
    let document = open(bytes)?;
    let numbers: Vec<u32> = document.get_pages().into_keys().collect();
    if numbers.is_empty() {
        return not_valid("it has no pages");
    }
    if numbers.len() > pages_max {
        return fail(Code::Invalid, format!("A maximum of {pages_max} PDF pages may be provided."));
    }
    let (mut text, mut read, mut unreadable) = (String::new(), 0, 0);
    for &number in &numbers {
        let page = read_page(&document, number, text_bytes_max - text.len().min(text_bytes_max))?;
        let said = match &page {
            Page::Text(words) if words.is_empty() => "[no text on this page]",
            Page::Text(words) => {
                read += 1;
                words
            }
            Page::Unreadable => {
                unreadable += 1;
                "[this page could not be read]"
            }
        };
        if numbers.len() > 1 {
            let between = if text.is_empty() { "" } else { "\n\n" };
            text.push_str(&format!("{between}[Page {number} of {}]\n", numbers.len()));
        }
        text.push_str(said);
    }
    match (read, unreadable) {
        (0, 0) => fail(
            Code::Unsupported,
            "could not process PDF: it has no text, only pictures (a scan?), and this model reads text only.",
        ),
        (0, _) => not_valid("none of its pages could be read"),
        _ => Ok(text),
    }
}

#[no_mangle]
pub unsafe extern "C" fn kvt_pdf_text(
    pdf: Text,
    pages_max: usize,
    text_bytes_max: usize,
    out: *mut Owned<u8>,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        let bytes = pdf.bytes();
        let text = std::thread::scope(|scope| {
            let reader = std::thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, || pdf_text(bytes, pages_max, text_bytes_max));
            match reader {
                Ok(thread) => thread.join().unwrap_or_else(|_| not_valid("it could not be parsed")),
                Err(e) => fail(Code::Internal, format!("no thread to read a PDF on: {e}")),
            }
        })?;
        out.write(Owned::new(text.into_bytes()));
        Ok(())
    })
}
