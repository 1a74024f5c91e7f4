"""Recordings of robots in the format of LeRobot: episodes become sources, actions become conditions."""
