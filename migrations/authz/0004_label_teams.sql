-- Labels of teams. Whether anybody has said what a team is for: releases before this one read an empty text where nobody has.
ALTER TABLE replicated.team
    ADD COLUMN labels jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN described boolean NOT NULL DEFAULT true;
