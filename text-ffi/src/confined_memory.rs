//! An allocator that can be given a limit, for a process that does nothing but read one hostile file. Beyond the
//! limit an allocation fails, which ends the process. setrlimit would do on Linux, but macOS does not keep it and
//! sanitizers reserve more than any limit. Without a limit an allocation costs one load more.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

struct Confined;

#[global_allocator]
static ALLOCATOR: Confined = Confined;

/// Bytes that may still be allocated; MAX: no limit, nothing is counted.
static LEFT: AtomicIsize = AtomicIsize::new(isize::MAX);

fn take(bytes: usize) -> bool {
    if LEFT.load(Relaxed) == isize::MAX {
        return true;
    }
    // A layout never exceeds isize::MAX.
    let taken = bytes as isize;
    if LEFT.fetch_sub(taken, Relaxed) < taken {
        LEFT.fetch_add(taken, Relaxed);
        return false;
    }
    true
}

fn give_back(bytes: usize) {
    if LEFT.load(Relaxed) != isize::MAX {
        LEFT.fetch_add(bytes as isize, Relaxed);
    }
}

// SAFETY: everything is System's; the count touches no memory of it.
unsafe impl GlobalAlloc for Confined {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if take(layout.size()) { System.alloc(layout) } else { std::ptr::null_mut() }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if take(layout.size()) { System.alloc_zeroed(layout) } else { std::ptr::null_mut() }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        System.dealloc(pointer, layout);
        give_back(layout.size());
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() && !take(size - layout.size()) {
            return std::ptr::null_mut();
        }
        let moved = System.realloc(pointer, layout, size);
        if size < layout.size() {
            give_back(layout.size() - size);
        }
        moved
    }
}

#[no_mangle]
pub extern "C" fn kvt_memory_confine(bytes: usize) {
    LEFT.store(bytes.min(isize::MAX as usize) as isize, Relaxed);
}
