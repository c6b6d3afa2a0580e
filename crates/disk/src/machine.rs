//! What the machine is: its memory, and its offset from UTC.
#![allow(unsafe_code)]

/// Physical memory in bytes; `None` if the kernel does not say.
pub fn physical_memory_bytes() -> Option<u64> {
    // SAFETY: sysconf takes a number and returns one.
    let (pages, size) = unsafe {
        (
            libc::sysconf(libc::_SC_PHYS_PAGES),
            libc::sysconf(libc::_SC_PAGESIZE),
        )
    };
    u64::try_from(pages).ok()?.checked_mul(u64::try_from(size).ok()?)
}

/// Offset of local time from UTC at `now_ms` (ms since 1970), in ms; 0 if the time is out of range.
pub fn local_offset_ms(now_ms: i64) -> i64 {
    let seconds: libc::time_t = now_ms.div_euclid(1000);
    // SAFETY: an all-zero `tm` is a valid value of that plain C struct (its only pointer may be null).
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live, properly aligned values; localtime_r keeps neither.
    let done = unsafe { libc::localtime_r(&seconds, &mut local) };
    if done.is_null() { 0 } else { local.tm_gmtoff * 1000 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_memory_and_a_sane_zone() {
        assert!(physical_memory_bytes().is_some_and(|bytes| bytes > 64 << 20));
        assert!(local_offset_ms(1_700_000_000_000).abs() <= 18 * 3_600_000);
        assert_eq!(local_offset_ms(i64::MAX), 0);
    }
}
