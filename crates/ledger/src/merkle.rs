//! One hash over many, from which each can be shown to be among them without showing the others.
//!
//! A tree of SHA-256: neighbours are hashed together, level by level. A node that has no neighbour goes up as it is. Leaves
//! and nodes are hashed with different first bytes, so that a node can never be passed off as a leaf; the number of leaves is
//! not part of the root, and is to be sealed beside it.

use sha2::{Digest as _, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

const LEAF: &[u8] = b"tollgate merkle leaf\0";
const NODE: &[u8] = b"tollgate merkle node\0";
const NOTHING: &[u8] = b"tollgate merkle empty\0";

fn leaf(content: &Hash) -> Hash {
    Sha256::new().chain_update(LEAF).chain_update(content).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update(NODE).chain_update(left).chain_update(right).finalize().into()
}

/// The next level towards the root.
fn above(level: &[Hash]) -> Vec<Hash> {
    let pair = |pair: &[Hash]| match pair {
        [left, right] => Some(node(left, right)),
        [alone] => Some(*alone),
        _ => None,
    };
    level.chunks(2).filter_map(pair).collect()
}

/// The root over `leaves`, in their order.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut level: Vec<Hash> = leaves.iter().map(leaf).collect();
    while level.len() > 1 {
        level = above(&level);
    }
    level.first().copied().unwrap_or_else(|| Sha256::digest(NOTHING).into())
}

/// The neighbours on the way from the leaf at `index` to the root: what [`verify_path`] needs. Empty where there is no such
/// leaf.
pub fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    paths(leaves, &[index]).pop().unwrap_or_default()
}

/// The paths of several leaves, from one walk through the tree.
pub fn paths(leaves: &[Hash], indices: &[usize]) -> Vec<Vec<Hash>> {
    let mut level: Vec<Hash> = leaves.iter().map(leaf).collect();
    let mut places = indices.to_vec();
    let mut paths = vec![Vec::new(); indices.len()];
    while level.len() > 1 {
        for (place, path) in places.iter_mut().zip(&mut paths).filter(|(p, _)| **p < level.len()) {
            path.extend(level.get(*place ^ 1));
            *place >>= 1;
        }
        level = above(&level);
    }
    paths
}

/// The root to which `path` leads from the leaf at `index` of `count`. `None` where no such leaf has a path of that length.
pub fn verify_path(content: &Hash, index: u32, count: u32, path: &[Hash]) -> Option<Hash> {
    if index >= count {
        return None;
    }
    let (mut hash, mut place, mut size) = (leaf(content), index, count);
    let mut path = path.iter();
    while size > 1 {
        if place & 1 == 1 {
            hash = node(path.next()?, &hash);
        } else if place.checked_add(1)? < size {
            hash = node(&hash, path.next()?);
        }
        place >>= 1;
        size = size.div_ceil(2);
    }
    path.next().is_none().then_some(hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    use super::{Hash, LEAF, NODE, path, paths, root, verify_path};

    fn leaves(count: u32) -> Vec<Hash> {
        (0..count).map(|number| Sha256::digest(number.to_le_bytes()).into()).collect()
    }

    /// By hand: ((a b) c).
    #[test]
    fn three_leaves() {
        let hash = |parts: &[&[u8]]| -> Hash { Sha256::digest(parts.concat()).into() };
        let three = leaves(3);
        let [a, b, c] = [0, 1, 2].map(|n| hash(&[LEAF, &three[n]]));
        let ab = hash(&[NODE, &a, &b]);
        assert_eq!(root(&three), hash(&[NODE, &ab, &c]));
        assert_eq!(path(&three, 0), [b, c]);
        assert_eq!(path(&three, 2), [ab]);
        assert_eq!(root(&three[..1]), a);
        assert_eq!(path(&three, 3), [[0; 32]; 0], "there is no such leaf");
        assert_eq!(verify_path(&three[2], 3, 3, &[ab]), None);
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved_at_its_place_alone() {
        for count in 1..=40 {
            let all = leaves(count);
            let top = root(&all);
            let places: Vec<usize> = (0..all.len()).collect();
            let ways = paths(&all, &places);
            for (index, leaf) in (0..count).zip(&all) {
                let way = &ways[index as usize];
                assert_eq!(*way, path(&all, index as usize));
                for place in 0..=count {
                    let proved = verify_path(leaf, place, count, way) == Some(top);
                    assert_eq!(proved, place == index, "leaf {index} of {count} at {place}");
                }
                assert_ne!(
                    verify_path(leaf, index, count, &[way.as_slice(), &[top]].concat()),
                    Some(top)
                );
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_else_is_proved(count in 1_u32..300, chosen: u32, bit in 0_usize..256, at: prop::sample::Index) {
            let all = leaves(count);
            let index = chosen % count;
            let (top, mut way) = (root(&all), path(&all, index as usize));
            let mut leaf = all[index as usize];
            prop_assert_eq!(verify_path(&leaf, index, count, &way), Some(top));
            leaf[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(verify_path(&leaf, index, count, &way), Some(top));
            leaf[bit / 8] ^= 1 << (bit % 8);
            if !way.is_empty() {
                let step = at.index(way.len());
                way[step][bit / 8] ^= 1 << (bit % 8);
                prop_assert_ne!(verify_path(&leaf, index, count, &way), Some(top));
                way.remove(step);
                prop_assert_eq!(verify_path(&leaf, index, count, &way), None);
            }
        }

        #[test]
        fn the_root_is_of_all_leaves_in_their_order(count in 2_u32..200, a: prop::sample::Index, b: prop::sample::Index) {
            let mut all = leaves(count);
            let top = root(&all);
            prop_assert_ne!(root(&all[1..]), top);
            let (a, b) = (a.index(all.len()), b.index(all.len()));
            all.swap(a, b);
            prop_assert_eq!(root(&all) == top, a == b);
        }
    }
}
