-- Whether the maker of an account said that Konnect does not manage it (false), or said nothing. Terraform reads back what it wrote.
ALTER TABLE replicated.system_account ADD COLUMN konnect_managed boolean;
