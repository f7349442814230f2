-- The session in which an enrolment token was made, as JSON: the token ends with it. Tokens of earlier releases have none, and end within
-- a week.
ALTER TABLE regional.enrolment_token ADD COLUMN session text;
