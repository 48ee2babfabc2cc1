//! Handles: numbers that name an entry of a table for as long as it is there, and no other entry ever after.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("handles need pointers of 64 bits");

/// Bits of a handle that number the slot; above them 32 bits of generation, above those the table's tag.
const SLOT_BITS: u32 = 24;
const GENERATION_BITS: u32 = 32;

/// Entries by handle. An address of the process's memory never is a handle: the tag makes the top byte nonzero.
#[derive(Debug)]
pub struct Table<T> {
    tag: u8,
    slots: Mutex<Slots<T>>,
}

#[derive(Debug)]
struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot<T> {
    /// Counts the entries that this slot has held.
    generation: u32,
    entry: Option<Arc<T>>,
}

impl<T> Table<T> {
    /// An empty table whose handles carry `tag`, which must not be 0 and differ between tables.
    pub const fn new(tag: u8) -> Self {
        assert!(tag != 0, "a tag that sets handles apart from addresses");
        Self { tag, slots: Mutex::new(Slots { slots: Vec::new(), free: Vec::new() }) }
    }

    /// Adds an entry; `None` when there are 16 million already.
    pub fn insert(&self, entry: T) -> Option<usize> {
        let mut slots = self.lock();
        let slot = match slots.free.pop() {
            Some(slot) => slot,
            None if slots.slots.len() >> SLOT_BITS == 0 => {
                slots.slots.push(Slot { generation: 0, entry: None });
                slots.slots.len() - 1
            }
            None => return None,
        };
        slots.slots[slot].entry = Some(Arc::new(entry));
        let generation = slots.slots[slot].generation as usize;
        Some((usize::from(self.tag) << (SLOT_BITS + GENERATION_BITS)) | (generation << SLOT_BITS) | slot)
    }

    /// The entry, which lives as long as the answer even when it is removed meanwhile.
    pub fn get(&self, handle: usize) -> Option<Arc<T>> {
        let slot = self.slot(handle)?;
        self.lock().slots.get(slot).filter(|slot| is_of(slot, handle))?.entry.clone()
    }

    /// Takes the entry out. Its handle is never given out again.
    pub fn remove(&self, handle: usize) -> Option<Arc<T>> {
        let at = self.slot(handle)?;
        let mut slots = self.lock();
        let slot = slots.slots.get_mut(at).filter(|slot| is_of(slot, handle))?;
        let entry = slot.entry.take()?;
        // A slot that has run out of generations stays empty for ever.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            slots.free.push(at);
        }
        Some(entry)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.lock().slots.iter().filter(|slot| slot.entry.is_some()).count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slot's number, if the handle has the table's tag.
    fn slot(&self, handle: usize) -> Option<usize> {
        (handle >> (SLOT_BITS + GENERATION_BITS) == usize::from(self.tag))
            .then_some(handle & ((1 << SLOT_BITS) - 1))
    }

    fn lock(&self) -> MutexGuard<'_, Slots<T>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_of<T>(slot: &Slot<T>, handle: usize) -> bool {
    slot.generation == (handle >> SLOT_BITS) as u32
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_freed_handle_names_nothing_though_its_slot_is_used_again() {
        let table = Table::new(0xb1);
        let first = table.insert("first").unwrap();
        assert_eq!(*table.get(first).unwrap(), "first");
        assert_eq!(*table.remove(first).unwrap(), "first");
        let second = table.insert("second").unwrap();
        assert_eq!(first & 0xff_ffff, second & 0xff_ffff, "the same slot");
        assert!(table.get(first).is_none() && table.remove(first).is_none());
        assert_eq!(*table.get(second).unwrap(), "second");
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn what_is_no_handle_names_nothing() {
        let (models, predictions) = (Table::new(0xb1), Table::new(0xb2));
        let model = models.insert(1).unwrap();
        assert!(predictions.insert(2).is_some());
        assert!(predictions.get(model).is_none(), "a handle of another table");
        let local = 0;
        for foreign in
            [0, 1, usize::MAX, model + 1, model ^ 1 << 60, &raw const local as usize, model & 0xff_ffff]
        {
            assert!(models.get(foreign).is_none() && models.remove(foreign).is_none(), "{foreign:x}");
        }
        assert_eq!(models.len(), 1);
    }

    #[test]
    fn an_entry_in_use_outlives_its_handle() {
        let table = Table::new(1);
        let handle = table.insert(vec![7; 3]).unwrap();
        let entry = table.get(handle).unwrap();
        drop(table.remove(handle));
        assert_eq!(*entry, [7; 3]);
        assert!(table.is_empty());
    }

    #[test]
    fn a_slot_without_generations_left_is_retired() {
        let table = Table::new(1);
        let handle = table.insert(()).unwrap();
        table.lock().slots[0].generation = u32::MAX;
        let last = handle | (u32::MAX as usize) << SLOT_BITS;
        assert!(table.get(handle).is_none() && table.remove(last).is_some() && table.get(last).is_none());
        assert_eq!(table.insert(()).unwrap() & 0xff_ffff, 1);
    }

    #[test]
    fn threads_share_a_table() {
        let table = Table::new(1);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let table = &table;
                scope.spawn(move || {
                    for i in 0..20 {
                        let handle = table.insert(thread * 100 + i).unwrap();
                        assert_eq!(*table.get(handle).unwrap(), thread * 100 + i);
                        assert_eq!(*table.remove(handle).unwrap(), thread * 100 + i);
                    }
                });
            }
        });
        assert!(table.is_empty());
    }
}
