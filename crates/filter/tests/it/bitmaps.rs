//! Sizes, positions and bytes of bloom filters as Java has them (`tests/java/FilterTool.java bloom`).

use filter::Bloom;

pub(crate) const JAVA: &str = include_str!("../golden/bloom.txt");

#[test]
fn sizes_positions_and_bytes_are_those_of_java() {
    let mut bitmap = Vec::new();
    let mut last = None;
    for line in JAVA.lines() {
        let mut words = line.splitn(5, ' ');
        let mut number = || words.next().unwrap().parse::<i32>().unwrap();
        let (percent, consumers, hashes, bits) = (number(), number(), number(), number());
        let bloom = Bloom::of(consumers, percent);
        assert_eq!(
            (bloom.hashes as i32, bloom.bits),
            (hashes, bits),
            "{percent} % of {consumers}"
        );
        if last.replace((percent, consumers)) != Some((percent, consumers)) {
            bitmap = vec![0; bloom.bytes()];
        }
        let rest = words.next().unwrap();
        let mut words = rest.splitn(hashes as usize + 2, ' ');
        let expected: Vec<i32> = words
            .by_ref()
            .take(hashes as usize)
            .map(|word| word.parse().unwrap())
            .collect();
        let bytes = words.next().unwrap();
        let name = words.next().unwrap_or_default();
        // The empty name has no group and no topic to be put together of.
        if let Some((group, topic)) = name.split_once('#') {
            assert_eq!(bloom.positions(group, topic), expected, "{name} in {bloom:?}");
        }
        Bloom::set(&expected, &mut bitmap);
        assert!(Bloom::is_hit(&expected, &bitmap));
        let hex: String = bitmap.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, bytes, "{name} in {bloom:?}");
    }
    assert!(last.is_some());
}

#[test]
fn a_consumer_is_hit_by_all_of_its_bits_only() {
    let mut bitmap = [0; 2];
    Bloom::set(&[0, 9, 300, -5], &mut bitmap);
    assert_eq!(bitmap, [1, 2], "positions beyond the bitmap are left out");
    assert!(Bloom::is_hit(&[9, 0], &bitmap));
    assert!(!Bloom::is_hit(&[0, 9, 1], &bitmap));
    assert!(!Bloom::is_hit(&[300], &bitmap) && !Bloom::is_hit(&[-5], &bitmap));
}
