//! One crate for what Kvasir takes from the Rust world: Hugging Face tokenizers, chat templates (minijinja),
//! grammars (llguidance) and the text of PDFs (pdf-extract), behind the C face of `include/kvasir_text.h`.
//!
//! This file holds what they share: status codes, borrowed and owned bytes, and the guard that keeps
//! panics and errors on this side of the face.

mod byte_level;
mod confined_memory;
mod grammar;
mod pdf;
mod pre_tokenizers;
mod python_methods;
mod segment_cache;
mod strftime;
mod template;
mod tojson;
mod tokenizer;
mod vocabulary;

use std::panic::{catch_unwind, AssertUnwindSafe};

/// Values of `kvt_status` other than OK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    Invalid = 1,
    Corrupt = 2,
    Unsupported = 3,
    Internal = 4,
}

/// Why a call failed: a code and a sentence for a person.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub message: String,
}

pub type Outcome<T> = Result<T, Failure>;

pub fn fail<T>(code: Code, message: impl Into<String>) -> Outcome<T> {
    Err(Failure { code, message: message.into() })
}

/// Bytes lent by the caller for the length of one call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    data: *const u8,
    size: usize,
}

impl Text {
    /// # Safety
    /// `data` must point to `size` readable bytes that outlive the borrow.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        slice(self.data, self.size)
    }

    /// # Safety
    /// As `bytes`.
    pub unsafe fn utf8<'a>(self, what: &str) -> Outcome<&'a str> {
        std::str::from_utf8(self.bytes()).or_else(|e| {
            fail(Code::Corrupt, format!("{what} is not valid UTF-8 (first bad byte at {})", e.valid_up_to()))
        })
    }
}

/// A slice from C, where null with size 0 is an empty one.
///
/// # Safety
/// `data` must point to `size` readable values that outlive the borrow.
pub unsafe fn slice<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if data.is_null() || size == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, size)
    }
}

/// A vector handed to the caller, who returns it with the matching `kvt_*_free`.
#[repr(C)]
pub struct Owned<T> {
    data: *mut T,
    size: usize,
    capacity: usize,
}

impl<T> Owned<T> {
    pub fn new(values: Vec<T>) -> Self {
        let mut values = std::mem::ManuallyDrop::new(values);
        Owned { data: values.as_mut_ptr(), size: values.len(), capacity: values.capacity() }
    }

    unsafe fn free(self) {
        if !self.data.is_null() {
            drop(Vec::from_raw_parts(self.data, self.size, self.capacity));
        }
    }
}

#[no_mangle]
pub unsafe extern "C" fn kvt_buffer_free(buffer: Owned<u8>) {
    buffer.free();
}

#[no_mangle]
pub unsafe extern "C" fn kvt_ids_free(ids: Owned<u32>) {
    ids.free();
}

/// Engines quote their input in errors, and the input may be megabytes.
const MESSAGE_BYTES_MAX: usize = 1000;

/// Runs `body`; an error or a panic becomes a status code and, where asked for, its words.
pub fn guard(error: *mut Owned<u8>, body: impl FnOnce() -> Outcome<()>) -> i32 {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return 0,
        Ok(Err(failure)) => failure,
        Err(panic) => {
            let words = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Failure { code: Code::Internal, message: format!("panic in the text crate: {words}") }
        }
    };
    if !error.is_null() {
        let mut end = failure.message.len().min(MESSAGE_BYTES_MAX);
        while !failure.message.is_char_boundary(end) {
            end -= 1;
        }
        let words = failure.message.as_bytes()[..end].to_vec();
        // SAFETY: the face requires `error` to be null or a writable kvt_buffer.
        unsafe { error.write(Owned::new(words)) };
    }
    failure.code as i32
}

/// Frees a handle made with `Box::into_raw`; a panic in a destructor stays here too.
pub fn free_handle<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: the face requires a handle that it gave out and that is not used again.
        let boxed = unsafe { Box::from_raw(handle) };
        let _ = catch_unwind(AssertUnwindSafe(move || drop(boxed)));
    }
}
