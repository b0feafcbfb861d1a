"""The statistics of fitted exits: plain functions over arrays, which know neither models nor files."""
