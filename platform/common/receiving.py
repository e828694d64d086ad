"""Uploaded files as they come with a form, on the disk."""

from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from typing import Any, NoReturn

from django.core.files.uploadedfile import InMemoryUploadedFile, UploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler

from common.disks import DiskFull, disk_full_told


class UploadHandler(TemporaryFileUploadHandler):
    """Takes files into the temporary directory. One that finds no room there is told of where it is
    used, as a file is that finds no room later: nobody could answer while the form is still read.
    """

    _is_full = False

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """A file begins."""
        self._is_full = False
        try:
            with disk_full_told():
                super().new_file(*args, **kwargs)
        except DiskFull:
            self._is_full = True

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Keeps what came of the file."""
        if not self._is_full:
            try:
                with disk_full_told():
                    super().receive_data_chunk(raw_data, start)
            except DiskFull:
                self._drop()

    def file_complete(self, file_size: int) -> "UploadedFile[Any] | None":
        """The file, or what stands for it."""
        if not self._is_full:
            try:
                with disk_full_told():
                    return super().file_complete(file_size)
            except DiskFull:
                self._drop()
        return _WithoutRoom(
            BytesIO(), self.field_name, self.file_name, self.content_type, file_size, None
        )

    def _drop(self) -> None:
        """Gives room back; what is not written yet finds none when the file is closed."""
        self._is_full = True
        with suppress(OSError):
            self.file.close()


class _WithoutRoom(InMemoryUploadedFile):
    """A file whose bytes found no room."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """`DiskFull`."""
        self.temporary_file_path()

    def temporary_file_path(self) -> NoReturn:
        """`DiskFull`."""
        raise DiskFull
