//! What the machine is: its memory, and its offset from UTC.
#![allow(unsafe_code)]

/// Physical memory in bytes; `None` if the kernel does not say.
pub fn physical_memory_bytes() -> Option<u64> {
    let info = rustix::system::sysinfo();
    // Unsigned longs, of which one may be shorter than 64 bits.
    #[allow(clippy::useless_conversion)]
    let (units, size) = (u64::from(info.totalram), u64::from(info.mem_unit));
    units.checked_mul(size).filter(|bytes| *bytes > 0)
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
