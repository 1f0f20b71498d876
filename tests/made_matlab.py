"""Write files as MATLAB's version 7.3 lays them out in HDF5."""

import h5py
import numpy as np

CLASSES = {"float64": "double", "float32": "single", "bool": "logical"}


class Writer:
    """A writer of MATLAB's HDF5: arrays transposed, texts as uint16, cells and arrays of structs as references into ``#refs#``."""

    def __init__(self, path):
        self.path = path

    def __call__(self, content):
        with h5py.File(self.path, "w", userblock_size=512) as self.file:
            self.references = 0
            for name, value in content.items():
                self.put(self.file, name, value)
        with open(self.path, "r+b") as file:
            file.write(
                b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 .".ljust(
                    512
                )
            )

    def put(self, group, name, value):
        if isinstance(value, dict):
            inner = group.create_group(name)
            for field, held in value.items():
                self.put(inner, field, held)
            inner.attrs["MATLAB_class"] = np.bytes_("struct")
            return
        if isinstance(value, list):
            inner = group.create_group(name)
            for field in value[0][0]:
                self.refer(inner, field, [[one[field] for one in row] for row in value])
            inner.attrs["MATLAB_class"] = np.bytes_("struct")
            return
        if isinstance(value, str):
            self.array(
                group,
                name,
                np.array([list(map(ord, value))], np.uint16).reshape(int(bool(value)), len(value)),
                "char",
                2,
            )
        elif value.dtype == object:
            self.refer(group, name, value.tolist())
            group[name].attrs["MATLAB_class"] = np.bytes_("cell")
        else:
            kind = CLASSES.get(str(value.dtype), str(value.dtype))
            self.array(
                group, name, value.astype(np.uint8) if kind == "logical" else value, kind, kind == "logical"
            )

    def array(self, group, name, value, kind, decode=0):
        if value.size:
            made = group.create_dataset(name, data=value.T)
        else:
            made = group.create_dataset(name, data=np.array(value.shape, np.uint64))
            made.attrs["MATLAB_empty"] = np.uint8(1)
        made.attrs["MATLAB_class"] = np.bytes_(kind)
        if decode:
            made.attrs["MATLAB_int_decode"] = np.int32(decode)

    def refer(self, group, name, rows):
        found = np.empty((len(rows), len(rows[0])), h5py.ref_dtype)
        for place in np.ndindex(found.shape):
            self.references += 1
            self.put(self.file.require_group("#refs#"), str(self.references), rows[place[0]][place[1]])
            found[place] = self.file["#refs#"][str(self.references)].ref
        group.create_dataset(name, data=found.T, dtype=h5py.ref_dtype)


def write_hdf5(path, content):
    """Write arrays, object arrays (cells), texts, dictionaries (structs), lists of rows of these (arrays of structs)."""
    Writer(path)(content)
