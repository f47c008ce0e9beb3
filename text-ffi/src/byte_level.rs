//! The alphabet of byte-level BPE: every byte is written as one printable character.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Printable Latin-1 bytes stand for themselves; the others, in order, take the code points from 256 up.
static BYTE_OF: LazyLock<HashMap<char, u8>> = LazyLock::new(|| {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut next_substitute = 256u32;
    (0..=255u8)
        .filter_map(|byte| {
            let code = if printable(byte) {
                byte as u32
            } else {
                next_substitute += 1;
                next_substitute - 1
            };
            char::from_u32(code).map(|c| (c, byte))
        })
        .collect()
});

/// The bytes that a vocabulary entry spells. A character outside the alphabet, which no correct file has, stands
/// for its own UTF-8.
pub fn decode(token: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut utf8 = [0u8; 4];
    for c in token.chars() {
        match BYTE_OF.get(&c) {
            Some(&byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes()),
        }
    }
    bytes
}
