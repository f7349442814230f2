use proptest::prelude::*;

use super::*;

fn key(byte: u8) -> TokenKey {
    TokenKey::from_hex(&format!("{byte:02x}").repeat(KEY_BYTES)).expect("a key")
}

fn tokens(entries: usize) -> impl Strategy<Value = Token> {
    let entry = ("(identity|authz)\\.[a-z][a-z0-9-]{0,15}", any::<u32>(), any::<u64>());
    let vector = prop::collection::vec(entry, 0..entries).prop_map(|entries| {
        let entry = |(origin, epoch, seq): (String, _, _)| {
            (origin.parse::<Origin>().expect("an origin"), Position { epoch, seq })
        };
        entries.into_iter().map(entry).collect::<Vector>()
    });
    (any::<u128>(), vector).prop_map(|(organization, vector)| Token {
        organization: OrganizationId::from_uuid(Uuid::from_u128(organization)),
        vector,
    })
}

proptest! {
    #[test]
    fn opens_as_it_was_sealed(token in tokens(TOKEN_ENTRIES_MAX)) {
        let text = token.seal(&key(7));
        prop_assert!(text.len() <= TOKEN_TEXT_MAX);
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        prop_assert_eq!(Token::open(&text, &key(7)), Ok(token));
        prop_assert_eq!(Token::open(&text, &key(8)), Err(InvalidToken::Forged));
    }

    #[test]
    fn no_bit_can_be_changed(token in tokens(4), at in any::<prop::sample::Index>(), bit in 0..8u32) {
        let text = token.seal(&key(7));
        let mut bytes = URL_SAFE_NO_PAD.decode(&text).expect("base64url");
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let expected = if at == 0 { InvalidToken::Malformed } else { InvalidToken::Forged };
        prop_assert_eq!(Token::open(&URL_SAFE_NO_PAD.encode(bytes), &key(7)), Err(expected));
    }

    #[test]
    fn no_text_is_trusted_or_panics(text in ".{0,200}", cut in any::<prop::sample::Index>(), token in tokens(4)) {
        prop_assert!(Token::open(&text, &key(7)).is_err());
        let sealed = token.seal(&key(7));
        prop_assert!(Token::open(&sealed[..cut.index(sealed.len())], &key(7)).is_err());
    }

    #[test]
    fn what_is_sealed_but_no_token_is_malformed(rest in prop::collection::vec(any::<u8>(), 0..60)) {
        // Sealed by a release that writes other entries under the same version: readable or refused, no panic.
        let mut bytes = [vec![VERSION], vec![3; ORGANIZATION_BYTES], rest].concat();
        bytes.extend(mac(&key(7).seals, &bytes));
        let opened = Token::open(&URL_SAFE_NO_PAD.encode(bytes), &key(7));
        prop_assert_ne!(opened, Err(InvalidToken::Forged));
    }
}

#[test]
fn has_one_spelling_and_a_bound() {
    let token =
        Token { organization: OrganizationId::from_uuid(Uuid::from_u128(1)), vector: Vector::default() };
    let text = token.seal(&key(7));
    for other in
        [format!("{text}="), format!(" {text}"), format!("{text}A"), text.replace('_', "/"), String::new()]
    {
        let opened = Token::open(&other, &key(7));
        assert!(
            other == text || opened == Err(InvalidToken::Malformed) || opened == Err(InvalidToken::Forged)
        );
    }
    assert_eq!(Token::open(&"A".repeat(TOKEN_TEXT_MAX + 1), &key(7)), Err(InvalidToken::Malformed));

    let region = |at: usize| format!("identity.region-{at}").parse::<Origin>().expect("an origin");
    let entries = |count: usize| (0..count).map(|at| (region(at), Position { epoch: 1, seq: 1 })).collect();
    let largest = Token { vector: entries(TOKEN_ENTRIES_MAX), ..token.clone() };
    assert_eq!(Token::open(&largest.seal(&key(7)), &key(7)), Ok(largest));
    let too_large = Token { vector: entries(TOKEN_ENTRIES_MAX + 1), ..token };
    assert_eq!(Token::open(&too_large.seal(&key(7)), &key(7)), Err(InvalidToken::Malformed));
}

/// Regions of two releases read each other's tokens: what one seals must not be too long for the other.
#[test]
fn the_longest_names_and_positions_fit_and_the_bound_is_fixed() {
    assert_eq!(TOKEN_TEXT_MAX, 3970);
    let region = |at: usize| format!("r{at:015}");
    let origins = (0..TOKEN_ENTRIES_MAX / 2)
        .flat_map(|at| ["identity", "authz"].map(|service| format!("{service}.{}", region(at))));
    let vector: Vector = origins
        .map(|name| (name.parse().expect("an origin"), Position { epoch: u32::MAX, seq: u64::MAX }))
        .collect();
    let token = Token { organization: OrganizationId::from_uuid(Uuid::max()), vector };
    assert_eq!(token.vector.len(), TOKEN_ENTRIES_MAX);
    assert_eq!(Token::open(&token.seal(&key(7)), &key(7)), Ok(token));
}

/// Tokens outlive releases: the form of version 1 does not change.
#[test]
fn the_form_is_fixed() {
    let origin: Origin = "authz.us".parse().expect("an origin");
    let vector = [(origin, Position { epoch: 2, seq: 300 })].into_iter().collect();
    let token = Token { organization: OrganizationId::from_uuid(Uuid::from_u128(5)), vector };
    let bytes = URL_SAFE_NO_PAD.decode(token.seal(&key(7))).expect("base64url");
    let (sealed, mac) = bytes.split_at(bytes.len() - MAC_BYTES);
    let form = [&[1][..], &[0; 15], &[5, 8], b"authz.us", &[2, 0, 0, 0], &[44, 1, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(sealed, form);
    assert_eq!(mac, &blake3::keyed_hash(&[7; KEY_BYTES], sealed).as_bytes()[..MAC_BYTES]);
}

#[test]
fn keys_are_64_digits_and_are_not_shown() {
    assert!(TokenKey::from_hex(&format!("{}\n", "aB".repeat(32))).is_ok());
    for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"0g".repeat(32), &"é".repeat(32)] {
        assert_eq!(TokenKey::from_hex(bad).err(), Some(InvalidKey), "{bad}");
    }
    assert_eq!(format!("{:?}", key(0xab)), "TokenKey(..)");
}

#[test]
fn a_key_is_replaced_while_both_open() {
    let token =
        Token { organization: OrganizationId::from_uuid(Uuid::from_u128(7)), vector: Vector::default() };
    let (old, both) = (key(7), key(8).opening(key(7)));
    assert_eq!(Token::open(&token.seal(&old), &both), Ok(token.clone()), "of the key before");
    assert_eq!(Token::open(&token.seal(&both), &key(8)), Ok(token.clone()), "the new key seals");
    assert_eq!(Token::open(&token.seal(&both), &old), Err(InvalidToken::Forged));
    assert_eq!(both.for_purpose("a"), [key(8), key(7)].map(|key| key.for_purpose("a")[0]));
    assert_ne!(old.for_purpose("a"), old.for_purpose("b"));
}
