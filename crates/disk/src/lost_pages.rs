//! Pages of mapped files that can not be read, because the device fails or somebody shortened the file.
//!
//! The kernel tells of such a page by SIGBUS to the thread that touches it, and that would end the process. Here a page of zeros takes
//! its place, and the loss is noted with the mapping: whoever has read asks for it and has an error instead. What is stored into
//! such a page reaches no disk: the file's writes ask as well.
#![allow(unsafe_code)] // A signal handler and its mapping; each block says why it is sound.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Losses of a mapping that are known by their page; after more of them all of it counts as lost.
const PAGES_MAX: usize = 8;
const ENTRIES: usize = 256;
/// A loss whose page is not noted yet.
const UNKNOWN: usize = usize::MAX;

/// A mapping, as the signal handler sees it: nothing here is ever given back to the allocator.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: AtomicUsize,
    /// 0: it stands for no mapping.
    end: AtomicUsize,
    losses: AtomicUsize,
    /// Addresses of lost pages.
    pages: [AtomicUsize; PAGES_MAX],
}

impl Mapping {
    const fn new() -> Mapping {
        Mapping {
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            losses: AtomicUsize::new(0),
            pages: [const { AtomicUsize::new(UNKNOWN) }; PAGES_MAX],
        }
    }

    /// An entry for a mapping of `len` bytes at `start`, for as long as [`Mapping::end`] is not called.
    pub(crate) fn begin(start: usize, len: usize) -> &'static Mapping {
        install();
        let mapping = loop {
            // The lock is given up before the list grows.
            let free = free().pop();
            match free {
                Some(mapping) => break mapping,
                None => grow(),
            }
        };
        mapping.start.store(start, Ordering::Relaxed);
        mapping.end.store(start + len, Ordering::Release);
        mapping
    }

    /// The mapping is about to go.
    pub(crate) fn end(&'static self) {
        self.end.store(0, Ordering::Release);
        self.losses.store(0, Ordering::Relaxed);
        for page in &self.pages {
            page.store(UNKNOWN, Ordering::Relaxed);
        }
        free().push(self);
    }

    /// Whether one of these bytes of the mapping was lost.
    pub(crate) fn has_lost(&self, range: Range<usize>) -> bool {
        let losses = self.losses.load(Ordering::Acquire);
        if losses == 0 || range.is_empty() {
            return false;
        }
        let start = self.start.load(Ordering::Relaxed);
        let (from, to) = (start + range.start, start + range.end);
        let is_in = |page: &AtomicUsize| {
            let page = page.load(Ordering::Acquire);
            page == UNKNOWN || (page < to && from < page + page_bytes())
        };
        losses > PAGES_MAX || self.pages.iter().take(losses).any(is_in)
    }

    /// Whether an address lies in it. An entry that is being made or given back holds no address.
    fn holds(&self, address: usize) -> bool {
        let end = self.end.load(Ordering::Acquire);
        let start = self.start.load(Ordering::Acquire);
        (start..end).contains(&address) && self.end.load(Ordering::Acquire) == end
    }

    /// Puts a page of zeros where the address is; for the signal handler. False if the kernel does not.
    fn replace(&self, address: usize) -> bool {
        let len = page_bytes();
        let page = address / len * len;
        // SAFETY: the page is one of a mapping that lives: the thread that touches it has a reference. Its bytes are not to be
        // had; that they are zeros now is what `has_lost` tells. mmap is a plain call to the kernel.
        let zeros = unsafe {
            libc::mmap(
                page as *mut libc::c_void,
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if zeros == libc::MAP_FAILED {
            return false;
        }
        let number = self.losses.fetch_add(1, Ordering::AcqRel);
        if let Some(lost) = self.pages.get(number) {
            lost.store(page, Ordering::Release);
        }
        true
    }
}

/// Entries, and more of them: only ever longer, so that the handler needs no lock.
struct Chunk {
    mappings: [Mapping; ENTRIES],
    next: OnceLock<Box<Chunk>>,
}

impl Chunk {
    const fn new() -> Chunk {
        Chunk {
            mappings: [const { Mapping::new() }; ENTRIES],
            next: OnceLock::new(),
        }
    }
}

static FIRST: OnceLock<Box<Chunk>> = OnceLock::new();

fn free() -> std::sync::MutexGuard<'static, Vec<&'static Mapping>> {
    static FREE: Mutex<Vec<&'static Mapping>> = Mutex::new(Vec::new());
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds entries. Two who do it at once add two chunks.
fn grow() {
    let mut last = &FIRST;
    let mut new = Box::new(Chunk::new());
    while let Err(taken) = last.set(new) {
        new = taken;
        last = &last.get().expect("it was taken").next;
    }
    let chunk = last.get().expect("it was just set");
    free().extend(&chunk.mappings);
}

fn page_bytes() -> usize {
    static BYTES: AtomicUsize = AtomicUsize::new(0);
    match BYTES.load(Ordering::Relaxed) {
        0 => {
            let bytes = rustix::param::page_size();
            BYTES.store(bytes, Ordering::Relaxed);
            bytes
        }
        bytes => bytes,
    }
}

/// Has SIGBUS come here, once in a process.
fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // Known before the handler asks.
        page_bytes();
        // SAFETY: the structure is plain data, the handler has the signature that SA_SIGINFO asks for, and does nothing that a
        // handler may not: atomic loads and stores, and calls to the kernel.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_sigbus as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
        }
    });
}

fn find(address: usize) -> Option<&'static Mapping> {
    let mut chunk = FIRST.get();
    while let Some(here) = chunk {
        if let Some(mapping) = here.mappings.iter().find(|mapping| mapping.holds(address)) {
            return Some(mapping);
        }
        chunk = here.next.get();
    }
    None
}

extern "C" fn on_sigbus(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel gives the handler a filled siginfo; errno is this thread's own.
    let (address, errno) = unsafe { ((*info).si_addr() as usize, *libc::__errno_location()) };
    let is_replaced = find(address).is_some_and(|mapping| mapping.replace(address));
    // SAFETY: as above. Without a mapping of ours it is as if there was no handler: the signal comes again when this returns.
    unsafe {
        if !is_replaced {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
        *libc::__errno_location() = errno;
    }
}
