//! What the tests of this crate share.

use crate::{cookie::Cookie, flags::DistributionFlags, handshake::LocalNode, node_name::NodeName};

/// The bytes of a text of hexadecimal digits; blanks are ignored.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap())
        .collect();
    assert!(digits.len().is_multiple_of(2));
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

/// The bytes of a captured handshake message without its `u16` length.
pub(crate) fn unframed(text: &str) -> Vec<u8> {
    hex(text).split_off(2)
}

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// A full member with the cookie `c`.
pub(crate) fn local(text: &str) -> LocalNode {
    LocalNode::new(
        name(text),
        1,
        DistributionFlags::FULL_MEMBER,
        Cookie::new("c").unwrap(),
    )
}
