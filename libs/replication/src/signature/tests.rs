use super::*;
use crate::Position;

fn origin(name: &str) -> Origin {
    name.parse().expect("an origin")
}

fn signer(seed: u8) -> Signer {
    Signer::from_seed(&[seed; KEY_BYTES]).expect("a key")
}

fn tip(epoch: u32, seq: u64, hash: u8) -> Tip {
    Tip { position: Position { epoch, seq }, hash: [hash; 32] }
}

#[test]
fn a_signature_is_of_one_tip_of_one_log() {
    let (us, eu, key) = (origin("authz.us"), origin("authz.eu"), signer(1));
    let mut keys = Keyring::default();
    for origin in [&us, &eu] {
        keys.trust(origin.clone(), vec![key.public().clone()]);
    }
    let signature = key.sign(&us, &tip(1, 2, 3));
    assert_eq!(keys.prove_tip(&us, &tip(1, 2, 3), Some(&signature)), Ok(()));
    assert_eq!(keys.prove_tip(&us, &tip(1, 2, 3), None), Err(Unproven::Unsigned));
    assert_eq!(keys.prove_tip(&eu, &tip(1, 2, 3), Some(&signature)), Err(Unproven::Wrong));
    for other in [tip(2, 2, 3), tip(1, 3, 3), tip(1, 2, 4)] {
        assert_eq!(keys.prove_tip(&us, &other, Some(&signature)), Err(Unproven::Wrong), "{other:?}");
    }
    let stranger = origin("authz.ap");
    let unknown = keys.prove_tip(&stranger, &tip(1, 2, 3), Some(&key.sign(&stranger, &tip(1, 2, 3))));
    assert_eq!(unknown, Err(Unproven::UnknownKey), "nothing is trusted for that log");
    for place in 0..SIGNATURE_BYTES {
        let mut bytes = *signature.as_bytes();
        bytes[place] ^= 1;
        let changed = Signature::from_bytes(&bytes).expect("its length is right");
        assert!(keys.prove_tip(&us, &tip(1, 2, 3), Some(&changed)).is_err(), "byte {place}");
    }
}

#[test]
fn a_replaced_key_goes_on_to_prove_as_long_as_it_is_listed() {
    let (us, old, new) = (origin("authz.us"), signer(1), signer(2));
    let before = old.sign(&us, &tip(1, 1, 1));
    let mut keys = Keyring::default();
    keys.trust(us.clone(), vec![new.public().clone(), old.public().clone()]);
    assert_eq!(keys.current(&us).map(PublicKey::id), Some(new.public().id()));
    assert_eq!(keys.prove_tip(&us, &tip(1, 1, 1), Some(&before)), Ok(()));
    assert_eq!(keys.prove_tip(&us, &tip(1, 2, 1), Some(&new.sign(&us, &tip(1, 2, 1)))), Ok(()));
    keys.trust(us.clone(), vec![new.public().clone()]);
    assert_eq!(keys.prove_tip(&us, &tip(1, 1, 1), Some(&before)), Err(Unproven::UnknownKey));
}

#[test]
fn keys_are_read_from_hexadecimal_digits_and_the_private_half_is_not_shown() {
    let text = format!("{}\n", "07".repeat(KEY_BYTES));
    let key = Signer::from_hex(&text).expect("a key");
    assert_eq!(key.public().to_string().parse::<PublicKey>().expect("a key").id(), key.public().id());
    assert!(!format!("{key:?}").contains("0707"), "{key:?}");
    for wrong in ["", "07", "zz", &"07".repeat(KEY_BYTES + 1)] {
        assert!(Signer::from_hex(wrong).is_err() && wrong.parse::<PublicKey>().is_err(), "{wrong}");
    }
}

/// Signatures are kept for ever: their form must never change by accident.
#[test]
fn the_form_of_signatures_is_fixed() {
    let key = signer(7);
    assert_eq!(key.public().to_string(), "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c");
    let signature = key.sign(&origin("identity.us"), &tip(1, 2, 3));
    assert_eq!(
        hex::encode(blake3::hash(signature.as_bytes()).as_bytes()),
        "c004e1ab3d34f648998846cd7ba531d44104cad7f1a31c731ce9e17c22428dcf"
    );
}
