-- How many of the student's questions are due before each of some moments.
-- Begins as believed.lua and due_before.lua.
-- ARGV: ..., moments ...
-- Returns {'warm', confirmation or empty, counts}, as due_before.lua returns them
return {'warm', confirmation, due_before(KEYS[2], 3)}
