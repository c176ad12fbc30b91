//! Places that are used again, each with a generation: an id that outlives its entry finds nothing.

/// A place and the generation of what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id {
    pub(super) place: u32,
    pub(super) generation: u32,
}

impl Id {
    pub(super) const fn to_u64(self) -> u64 {
        (self.generation as u64) << 32 | self.place as u64
    }

    pub(super) const fn from_u64(number: u64) -> Self {
        Self { place: number as u32, generation: (number >> 32) as u32 }
    }
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    entry: Option<T>,
}

#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, entry: T) -> Id {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, entry: None });
            (self.places.len() - 1) as u32
        });
        let own = &mut self.places[place as usize];
        own.entry = Some(entry);
        Id { place, generation: own.generation }
    }

    pub(super) fn remove(&mut self, place: u32) -> Option<T> {
        let own = self.places.get_mut(place as usize)?;
        let entry = own.entry.take()?;
        own.generation = own.generation.wrapping_add(1);
        self.free.push(place);
        Some(entry)
    }

    /// Whatever stands there now.
    pub(super) fn at(&mut self, place: u32) -> Option<&mut T> {
        self.places.get_mut(place as usize)?.entry.as_mut()
    }

    /// What that id was given for, if it still stands there.
    pub(super) fn get(&mut self, id: Id) -> Option<&mut T> {
        let own = self.places.get_mut(id.place as usize)?;
        own.entry.as_mut().filter(|_| own.generation == id.generation)
    }

    /// The id of what stands there now.
    pub(super) fn id(&self, place: u32) -> Option<Id> {
        let own = self.places.get(place as usize)?;
        own.entry.as_ref().map(|_| Id { place, generation: own.generation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_and_an_old_id_finds_nothing() {
        let mut slab = Slab::default();
        let (one, two) = (slab.insert('a'), slab.insert('b'));
        assert_eq!((slab.remove(one.place), slab.remove(one.place)), (Some('a'), None));
        let three = slab.insert('c');
        assert_eq!((three.place, slab.len()), (one.place, 2));
        assert_eq!(slab.get(one), None);
        assert_eq!(slab.id(three.place), Some(three));
        assert_eq!(slab.get(two), Some(&mut 'b'));
        assert_eq!(slab.get(three), Some(&mut 'c'));
        assert_eq!(Id::from_u64(three.to_u64()), three);
        assert_eq!(slab.at(9), None);
    }
}
