-- Entities, keys and references go with their control plane by a trigger, and no longer by foreign keys. Those asked for the control plane's
-- row with each row that was written, which took a third of the time of a large document; and while others wrote, far more: that row has a
-- version for each of their commits, and none can be removed before a long transaction ends. Whoever writes asks for the row once.
ALTER TABLE regional.entity DROP CONSTRAINT entity_control_plane_id_fkey;
ALTER TABLE regional.entity_key DROP CONSTRAINT entity_key_control_plane_id_fkey;
ALTER TABLE regional.entity_ref DROP CONSTRAINT entity_ref_control_plane_id_fkey;

CREATE FUNCTION regional.delete_configuration() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM regional.entity_ref WHERE control_plane_id = OLD.id;
    DELETE FROM regional.entity_key WHERE control_plane_id = OLD.id;
    DELETE FROM regional.entity WHERE control_plane_id = OLD.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER delete_configuration AFTER DELETE ON regional.control_plane
    FOR EACH ROW EXECUTE FUNCTION regional.delete_configuration();
