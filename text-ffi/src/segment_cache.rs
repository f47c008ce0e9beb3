//! Token ids of stretches of text between special tokens.
//!
//! An agent sends the same messages again on every turn. What stands between two special tokens is tokenised
//! independently of its surroundings, so its ids can be remembered and reused exactly. Bounded: two generations
//! a shard; when the young one is full it becomes the old one, whose entries are forgotten unless used again.

use std::collections::hash_map::RandomState;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex};

const SHARDS: usize = 8;
const GENERATION_BYTES_MAX: usize = 2 << 20; // 8 shards x 2 generations x 2 MiB = 32 MiB at most
const SEGMENT_BYTES_MIN: usize = 48; // below this, tokenising is as cheap as remembering
const SEGMENT_BYTES_MAX: usize = GENERATION_BYTES_MAX / 4;
const ENTRY_OVERHEAD_BYTES: usize = 96;

type Ids = Arc<[u32]>;

#[derive(Default)]
struct Shard {
    young: HashMap<Box<str>, Ids>,
    old: HashMap<Box<str>, Ids>,
    young_bytes: usize,
}

impl Shard {
    fn insert(&mut self, text: Box<str>, ids: Ids) {
        let bytes = text.len() + 4 * ids.len() + ENTRY_OVERHEAD_BYTES;
        if self.young_bytes + bytes > GENERATION_BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(text, ids).is_none() {
            self.young_bytes += bytes;
        }
    }
}

pub struct SegmentCache {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

impl SegmentCache {
    pub fn new() -> Self {
        SegmentCache { hasher: RandomState::new(), shards: Default::default() }
    }

    /// The remembered ids of `text`, else those that `tokenise` gives. The lock is held for a look-up only.
    pub fn get_or<E>(
        &self,
        text: &str,
        tokenise: impl FnOnce(&str) -> Result<Vec<u32>, E>,
        out: &mut Vec<u32>,
    ) -> Result<(), E> {
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&text.len()) {
            out.extend(tokenise(text)?);
            return Ok(());
        }
        let shard = self.shard_of(text);
        if let Some(ids) = Self::look_up(shard, text) {
            out.extend_from_slice(&ids);
            return Ok(());
        }
        let ids = tokenise(text)?;
        out.extend_from_slice(&ids);
        lock(shard).insert(text.into(), ids.into());
        Ok(())
    }

    fn look_up(shard: &Mutex<Shard>, text: &str) -> Option<Ids> {
        let mut shard = lock(shard);
        if let Some(ids) = shard.young.get(text) {
            return Some(ids.clone());
        }
        let (key, ids) = shard.old.remove_entry(text)?;
        shard.insert(key, ids.clone());
        Some(ids)
    }

    /// By length and both ends: cheap, and the map hashes the whole text anyway.
    fn shard_of(&self, text: &str) -> &Mutex<Shard> {
        let bytes = text.as_bytes();
        let mut hasher = self.hasher.build_hasher();
        hasher.write_usize(bytes.len());
        hasher.write(&bytes[..bytes.len().min(32)]);
        hasher.write(&bytes[bytes.len().saturating_sub(32)..]);
        &self.shards[hasher.finish() as usize % SHARDS]
    }
}

/// A panic elsewhere cannot leave a shard half-changed, so a poisoned lock is still good.
fn lock(shard: &Mutex<Shard>) -> std::sync::MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
