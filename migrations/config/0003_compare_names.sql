-- Unique names are compared in normalization form C. Rows from before get that form, except one whose name another entity has
-- in that form already: it can still be reached by its id.
UPDATE regional.entity_key AS k SET value = normalize(k.value, NFC)
WHERE k.value IS NOT NFC NORMALIZED
  AND NOT EXISTS (
      SELECT FROM regional.entity_key AS other
      WHERE other.control_plane_id = k.control_plane_id AND other.kind = k.kind AND other.field = k.field
        AND other.entity_id <> k.entity_id AND normalize(other.value, NFC) = normalize(k.value, NFC));
