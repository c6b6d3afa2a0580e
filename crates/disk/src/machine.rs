//! What the machine is: its memory.

/// Physical memory in bytes; `None` if the kernel does not say.
pub fn physical_memory_bytes() -> Option<u64> {
    let info = rustix::system::sysinfo();
    // Unsigned longs, of which one may be shorter than 64 bits.
    #[allow(clippy::useless_conversion)]
    let (units, size) = (u64::from(info.totalram), u64::from(info.mem_unit));
    units.checked_mul(size).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_memory() {
        assert!(physical_memory_bytes().is_some_and(|bytes| bytes > 64 << 20));
    }
}
