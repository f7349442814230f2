//! Positions and origins as columns. Every position that this project reads from a database is decoded here.

use postgres::Error;
use replication::{Dot, Origin, Position, Vector};

/// A position from its columns `epoch` and `seq`.
pub fn position(epoch: i64, seq: i64) -> Result<Position, Error> {
    let epoch = u32::try_from(epoch).map_err(Error::undecodable)?;
    let seq = u64::try_from(seq).map_err(Error::undecodable)?;
    Ok(Position { epoch, seq })
}

/// An origin from its column.
pub fn origin(name: &str) -> Result<Origin, Error> {
    name.parse().map_err(Error::undecodable)
}

/// An entry's place from its columns.
pub fn dot(name: &str, epoch: i64, seq: i64) -> Result<Dot, Error> {
    Ok(Dot { origin: origin(name)?, position: position(epoch, seq)? })
}

/// A vector from rows of `origin`, `epoch` and `seq`.
pub fn vector(rows: Vec<(String, i64, i64)>) -> Result<Vector, Error> {
    let entry = |(name, epoch, seq): (String, i64, i64)| Ok((origin(&name)?, position(epoch, seq)?));
    rows.into_iter().map(entry).collect()
}

/// The column `seq` of a position. Sequence numbers stay far below 2⁶³: a log with a million entries a second reaches it after
/// 292,000 years.
pub const fn seq(position: Position) -> i64 {
    position.seq.cast_signed()
}

/// The column `epoch` of a position.
pub fn epoch(position: Position) -> i64 {
    i64::from(position.epoch)
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn a_position_that_nobody_wrote_is_an_error() {
        assert!(position(-1, 1).is_err());
        assert!(position(1, -1).is_err());
        assert!(position(i64::from(u32::MAX) + 1, 1).is_err());
        assert!(position(i64::from(u32::MAX), i64::MAX).is_ok());
    }
}
