//! What the machine is: its memory, and whether somebody keeps its clock right.
#![allow(unsafe_code)] // A system call that has no safe name.

/// Physical memory in bytes; `None` if the kernel does not say.
pub fn physical_memory_bytes() -> Option<u64> {
    let info = rustix::system::sysinfo();
    // Unsigned longs, of which one may be shorter than 64 bits.
    #[allow(clippy::useless_conversion)]
    let (units, size) = (u64::from(info.totalram), u64::from(info.mem_unit));
    units.checked_mul(size).filter(|bytes| *bytes > 0)
}

/// Whether a time service keeps the clock right, as the kernel was told; `None` if the kernel does not say.
pub fn clock_is_synchronised() -> Option<bool> {
    // SAFETY: all-zero is a valid value of this plain C struct; as `modes` it changes nothing.
    let mut clock: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: a system call with a struct that outlives it.
    match unsafe { libc::adjtimex(&raw mut clock) } {
        -1 => None,
        state => Some(state != libc::TIME_ERROR && clock.status & libc::STA_UNSYNC == 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_the_same_of_its_clock_each_time() {
        let first = clock_is_synchronised();
        assert_eq!(clock_is_synchronised(), first);
        assert!(first.is_some(), "{:?}", std::io::Error::last_os_error());
    }

    #[test]
    fn the_machine_has_memory() {
        assert!(physical_memory_bytes().is_some_and(|bytes| bytes > 64 << 20));
    }
}
