-- Which control planes an organization has had a role on: `POST /v1/authz/check` asks.
CREATE INDEX log_operation_by_control_plane ON log_operation (organization_id, (body::jsonb #>> '{role,entity_id}'))
    WHERE kind = 'assignment.put';
