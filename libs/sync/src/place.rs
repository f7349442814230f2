//! A place: one version of one control plane's configuration, as a consistency token carries it to gateways.
//!
//! A service answers a write with a token. Its first part is sealed and is for services (`replication::Token`). Behind a `~` stand the
//! places that the client has seen, for gateways. Example: a client makes a key, and sends its first request with the token of that answer;
//! the gateway waits until it serves the version that has the key.
//!
//! Places are not sealed: a gateway has no key of the deployment's. Whoever makes one up waits for it, a short time, and harms nobody else.
//!
//! Form: base64url without padding of the places, 32 bytes each: the control plane's id, the incarnation and the version (8 bytes each,
//! little-endian).

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ids::ControlPlaneId;
use uuid::Uuid;

/// The header of requests and answers that carries tokens, in lower case.
pub const CONSISTENCY: &str = "landbridge-consistency";
/// Stands between the sealed part of a token and its places.
const SEPARATOR: char = '~';
const PLACE_BYTES: usize = 16 + 8 + 8;
/// Most places of one token: a client that writes to more control planes at the same time sends the newest token of each.
pub const PLACES_MAX: usize = 8;
/// The longest text of places, in characters.
pub const PLACES_TEXT_MAX: usize = (PLACES_MAX * PLACE_BYTES * 4).div_ceil(3);

/// One version of one control plane's configuration. Of two places of one control plane, the greater is the newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Whose configuration.
    pub control_plane: ControlPlaneId,
    /// The incarnation in which `version` counts.
    pub incarnation: u64,
    /// Counts the commits.
    pub version: u64,
}

/// The newest place of each of several control planes, at most [`PLACES_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(Vec<Place>);

/// The text is not one of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the consistency token is malformed")]
pub struct InvalidPlaces;

/// The sealed part of a token, and the text of its places; `None` if it has none.
pub fn split(token: &str) -> (&str, Option<&str>) {
    token.split_once(SEPARATOR).map_or((token, None), |(sealed, places)| (sealed, Some(places)))
}

impl Places {
    /// Reads the text of places.
    pub fn read(text: &str) -> Result<Self, InvalidPlaces> {
        if text.len() > PLACES_TEXT_MAX {
            return Err(InvalidPlaces);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidPlaces)?;
        let (places, []) = bytes.as_chunks::<PLACE_BYTES>() else { return Err(InvalidPlaces) };
        let mut read = Self::default();
        places.iter().map(Place::of_bytes).for_each(|place| read.advance(place));
        Ok(read)
    }

    /// Inverse of [`Places::read`].
    pub fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.iter().flat_map(Place::bytes).collect::<Vec<u8>>())
    }

    /// `sealed` with these places behind it; as it is if there are none.
    pub fn behind(&self, sealed: String) -> String {
        if self.0.is_empty() { sealed } else { format!("{sealed}{SEPARATOR}{}", self.text()) }
    }

    /// Takes in a place. It counts where it is newer than what is known of its control plane. With [`PLACES_MAX`] of others it takes the
    /// place of the one that came first.
    pub fn advance(&mut self, place: Place) {
        let known = self.0.iter().position(|known| known.control_plane == place.control_plane);
        let newest = known.map_or(place, |at| self.0.remove(at).max(place));
        if self.0.len() == PLACES_MAX {
            self.0.remove(0);
        }
        self.0.push(newest);
    }

    /// Takes in the places of another token.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|place| self.advance(*place));
    }

    /// The newest place of this control plane.
    pub fn of(&self, control_plane: ControlPlaneId) -> Option<Place> {
        self.0.iter().find(|place| place.control_plane == control_plane).copied()
    }
}

impl From<Place> for Places {
    fn from(place: Place) -> Self {
        Self(vec![place])
    }
}

impl Place {
    fn of_bytes(bytes: &[u8; PLACE_BYTES]) -> Self {
        let (id, numbers) = bytes.split_at(16);
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let (incarnation, version) = numbers.split_at(8);
        Self {
            control_plane: ControlPlaneId::from_uuid(Uuid::from_slice(id).unwrap_or_default()),
            incarnation: number(incarnation),
            version: number(version),
        }
    }

    fn bytes(&self) -> [u8; PLACE_BYTES] {
        let mut bytes = [0; PLACE_BYTES];
        let (id, numbers) = bytes.split_at_mut(16);
        let (incarnation, version) = numbers.split_at_mut(8);
        id.copy_from_slice(self.control_plane.as_bytes());
        incarnation.copy_from_slice(&self.incarnation.to_le_bytes());
        version.copy_from_slice(&self.version.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(plane: u128, incarnation: u64, version: u64) -> Place {
        Place { control_plane: ControlPlaneId::from_uuid(Uuid::from_u128(plane)), incarnation, version }
    }

    fn of(places: &[Place]) -> Places {
        let mut all = Places::default();
        places.iter().for_each(|place| all.advance(*place));
        all
    }

    #[test]
    fn the_newest_of_each_control_plane_is_kept() {
        let places = of(&[place(1, 1, 9), place(2, 1, 5), place(1, 1, 8), place(2, 2, 1)]);
        assert_eq!(places.of(place(1, 0, 0).control_plane), Some(place(1, 1, 9)));
        assert_eq!(places.of(place(2, 0, 0).control_plane), Some(place(2, 2, 1)));
        assert_eq!(places.of(place(3, 0, 0).control_plane), None);
    }

    #[test]
    fn the_last_ones_stay_where_there_are_too_many() {
        let many: Vec<Place> = (0..PLACES_MAX as u128 + 2).map(|plane| place(plane, 1, 1)).collect();
        let places = of(&many);
        assert_eq!(places.0, many[2..]);
        assert_eq!(places.behind(String::new()).len(), 1 + PLACES_TEXT_MAX);
    }

    #[test]
    fn a_token_without_places_stays_as_it_is() {
        assert_eq!(Places::default().behind("sealed".to_owned()), "sealed");
        assert_eq!(split("sealed"), ("sealed", None));
        assert_eq!(Places::read(""), Ok(Places::default()));
    }

    proptest! {
        #[test]
        fn reads_what_was_written(given in prop::collection::vec((any::<u128>(), any::<u64>(), any::<u64>()), 1..9)) {
            let places = of(&given.into_iter().map(|(a, b, c)| place(a, b, c)).collect::<Vec<_>>());
            let text = places.behind("sealed".to_owned());
            let (sealed, rest) = split(&text);
            prop_assert_eq!(sealed, "sealed");
            prop_assert_eq!(Places::read(rest.expect("places")), Ok(places));
        }

        #[test]
        fn no_text_panics(text in ".{0,400}") {
            let _ = Places::read(split(&text).0);
        }
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_refused() {
        let text = of(&[place(1, 1, 1)]).behind(String::new());
        for wrong in [&text[1..text.len() - 2], &text.repeat(9), "~", "é"] {
            assert_eq!(Places::read(wrong), Err(InvalidPlaces), "{wrong}");
        }
    }
}
